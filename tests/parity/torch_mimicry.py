"""The networks of SNGAN and projection cGAN with the layers of mimicry, from the shapes of a state_dict."""

import math
import re

from torch_networks import BatchNorm, Layer, State, conv, dense, to_map

from flaxgan.networks import resnet
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norm_config import NormConfig

Parts = list[Layer | BatchNorm]


def generator(state: State, size: tuple[int, int]) -> tuple[resnet.Generator, Parts]:
    """The generator of images of a size, and its layers."""
    blocks = _numbered(state, "block")
    base, norm, output = (_numbered(state, letter)[0] for letter in "lbc")
    first = state[f"{blocks[0]}.c1.weight"].shape[1]
    table = state.get(f"{blocks[0]}.b1.embed.weight")
    network = resnet.Generator(
        image_shape=(*size, state[f"{output}.weight"].shape[0]),
        channels=(first, *(state[f"{block}.c2.weight"].shape[0] for block in blocks)),
        norm=NormConfig("batch") if table is None else NormConfig("conditional", num_classes=table.shape[0]),
        upsampling="bilinear",
    )
    parts: Parts = [Layer(base, "base", to_map(first), to_map(first)), Layer(output, "output", conv)]
    parts += [BatchNorm(norm, "norm/norm")]
    for index, block in enumerate(blocks, start=1):
        parts += _convolutions(block, f"block{index}")
        parts += [BatchNorm(f"{block}.b{number}", f"block{index}/norm{number}/norm") for number in (1, 2)]
    return network, parts


def discriminator(
    state: State, size: tuple[int, int], *, activated_shortcut: bool = True
) -> tuple[resnet.Discriminator, Parts]:
    """The discriminator of images of a size, and its layers.

    Args:
      state: a state_dict.
      size: (H, W) of the images.
      activated_shortcut: as in the library, whose ReLU overwrites the input of a block.
    """
    blocks = _numbered(state, "block")
    table = state.get("l_y.weight", state.get("l_y.weight_orig"))
    head = next(name for name in _numbered(state, "l") if name != "l_y")
    network = resnet.Discriminator(
        image_shape=(*size, state[f"{blocks[0]}.c1.weight_orig"].shape[1]),
        channels=tuple(state[f"{block}.c2.weight_orig"].shape[0] for block in blocks),
        downsamples=_downsamples(state, blocks, math.gcd(*size)),
        num_classes=0 if table is None else table.shape[0],
        activated_shortcut=activated_shortcut,
        spectral=SpectralNorm(eps=1e-12),
    )
    parts: Parts = [Layer(head, "head/linear", dense)]
    parts += [] if table is None else [Layer("l_y", "head/embed", lambda weight: weight, kernel="embedding")]
    for index, block in enumerate(blocks, start=1):
        parts += _convolutions(block, f"block{index}", shortcut=_has_shortcut(state, block))
    return network, parts


def _numbered(state: State, prefix: str) -> list[str]:
    """Names of the layers that are called by a prefix and a number, in their order."""
    names = {key.split(".")[0] for key in state}
    return sorted((name for name in names if re.fullmatch(rf"{prefix}\d+", name)), key=lambda name: (len(name), name))


def _has_shortcut(state: State, block: str) -> bool:
    return any(name.startswith(f"{block}.c_sc.") for name in state)


def _downsamples(state: State, blocks: list[str], pixels: int) -> int:
    """How many blocks halve their input: those with a shortcut that is none for a change of channels, or can halve."""
    count = 0
    while count < len(blocks) and _has_shortcut(state, blocks[count]) and pixels % 2 == 0:
        count, pixels = count + 1, pixels // 2
    return count


def _convolutions(block: str, ours: str, *, shortcut: bool = True) -> list[Layer]:
    names = {"c1": "conv1", "c2": "conv2", **({"c_sc": "shortcut"} if shortcut else {})}
    return [Layer(f"{block}.{name}", f"{ours}/{path}", conv) for name, path in names.items()]
