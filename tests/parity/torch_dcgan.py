"""DCGAN's two networks with the layers of PyTorch's example, from the shapes of a state_dict."""

from torch_networks import BatchNorm, Layer, State, conv, conv_of_all, conv_transpose, conv_transpose_of_one

from flaxgan.networks import dcgan

Parts = list[Layer | BatchNorm]


def generator(state: State, size: tuple[int, int]) -> tuple[dcgan.Generator, Parts]:
    """The generator of images of a size, and its layers."""
    convs, norms = _layers(state)
    weights = [state[f"{name}.weight"].shape for name in convs]
    channels = tuple(weight[1] for weight in weights[:-1])
    network = dcgan.Generator(image_shape=(*size, weights[-1][1]), channels=channels)
    base, *deconvs, output = convs
    parts: Parts = [Layer(base, "base", conv_transpose_of_one), Layer(output, "output", conv_transpose)]
    parts += [Layer(name, f"deconv{index}", conv_transpose) for index, name in enumerate(deconvs, start=1)]
    parts += [BatchNorm(name, f"norm{index}/norm") for index, name in enumerate(norms)]
    return network, parts


def discriminator(state: State, size: tuple[int, int]) -> tuple[dcgan.Discriminator, Parts]:
    """The discriminator of images of a size, and its layers. The reference's sigmoid belongs to our loss."""
    convs, norms = _layers(state)
    weights = [state[f"{name}.weight"].shape for name in convs]
    channels = tuple(weight[0] for weight in weights[:-1])
    network = dcgan.Discriminator(image_shape=(*size, weights[0][1]), channels=channels)
    parts: Parts = [Layer(name, f"conv{index}", conv) for index, name in enumerate(convs[:-1], start=1)]
    parts += [Layer(convs[-1], "head/linear", conv_of_all)]
    parts += [BatchNorm(name, f"norm{index}/norm") for index, name in enumerate(norms, start=2)]
    return network, parts


def _layers(state: State) -> tuple[list[str], list[str]]:
    """Names of the convolutions and of the batch normalizations, from the input to the output."""
    names = sorted({key.rpartition(".")[0] for key in state}, key=lambda name: int(name.rpartition(".")[2]))
    is_norm = lambda name: f"{name}.running_mean" in state
    return [name for name in names if not is_norm(name)], [name for name in names if is_norm(name)]
