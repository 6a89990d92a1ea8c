"""DCGAN's two networks, those of PyTorch's example, against families/nets_dcgan.npz."""

import jax
import jax.numpy as jnp
import pytest
import torch_networks
from goldens import Case, Suite
from layer_calls import compare_calls
from torch_networks import BatchNorm, Layer, conv, conv_of_all, conv_transpose, conv_transpose_of_one

from flaxgan.networks import dcgan

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("G*", inputs=["sd/*", "in/z", "cot"], notes=["n_params", "cfg"])
def run_generator(case: Case):
    convs, norms = _layers(case)
    weights = [case.arrays[f"sd/{name}.weight"].shape for name in convs]
    generator = dcgan.Generator(
        image_shape=(*case.arrays["train/out"].shape[2:], weights[-1][1]),
        channels=tuple(weight[1] for weight in weights[:-1]),
    )
    base, *deconvs, output = convs
    parts = [Layer(base, "base", conv_transpose_of_one), Layer(output, "output", conv_transpose)]
    parts += [Layer(name, f"deconv{index}", conv_transpose) for index, name in enumerate(deconvs, start=1)]
    parts += [BatchNorm(name, f"norm{index}/norm") for index, name in enumerate(norms)]

    def call(state, inputs, train):
        images, changed = torch_networks.apply(generator, parts, state, train, inputs["z"][:, :, 0, 0])
        return jnp.moveaxis(images, -1, 1), changed

    compare_calls(case, call, {"z": case.input("in/z")}, case.input("cot"))


@suite.kind("D*", inputs=["sd/*", "in/x", "cot"], notes=["n_params", "cfg", "note"])
def run_discriminator(case: Case):
    """The reference ends in a sigmoid, which here belongs to the loss."""
    convs, norms = _layers(case)
    x = case.input("in/x")
    channels = tuple(case.arrays[f"sd/{name}.weight"].shape[0] for name in convs[:-1])
    discriminator = dcgan.Discriminator(image_shape=(*x.shape[2:], x.shape[1]), channels=channels)
    parts = [Layer(name, f"conv{index}", conv) for index, name in enumerate(convs[:-1], start=1)]
    parts += [Layer(convs[-1], "head/linear", conv_of_all)]
    parts += [BatchNorm(name, f"norm{index}/norm") for index, name in enumerate(norms, start=2)]

    def call(state, inputs, train):
        images = jnp.moveaxis(inputs["x"], 1, -1)
        output, changed = torch_networks.apply(discriminator, parts, state, train, images)
        return jax.nn.sigmoid(output.logits), {**changed, "logit": output.logits}

    compare_calls(case, call, {"x": x}, case.input("cot"), beside=("logit",))


def _layers(case: Case) -> tuple[list[str], list[str]]:
    """Names of the convolutions and of the batch normalizations, from the input to the output."""
    names = sorted({key.split("/")[1].rpartition(".")[0] for key in case.keys("sd/*")}, key=_number)
    is_norm = lambda name: f"sd/{name}.running_mean" in case.arrays
    return [name for name in names if not is_norm(name)], [name for name in names if is_norm(name)]


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])
