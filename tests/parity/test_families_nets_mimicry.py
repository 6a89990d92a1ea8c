"""SNGAN and the projection cGAN as in the mimicry library, against families/nets_mimicry.npz."""

import math
import re

import jax.numpy as jnp
import pytest
import torch_networks
from goldens import Case, Suite, run_as_program
from layer_calls import compare_calls
from torch_networks import BatchNorm, Layer, conv, dense, to_map

from flaxgan.networks import resnet
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norm_config import NormConfig

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*_G", inputs=["sd/*", "in/z", "in/y", "cot"], notes=["n_params", "cfg"])
def run_generator(case: Case):
    blocks = _numbered(case, "block")
    base, norm, output = (_numbered(case, letter)[0] for letter in "lbc")
    first = _shape(case, f"{blocks[0]}.c1.weight")[1]
    table = case.arrays.get(f"sd/{blocks[0]}.b1.embed.weight")
    _, channels, *size = case.arrays["train/out"].shape
    generator = resnet.Generator(
        image_shape=(*size, channels),
        channels=(first, *(_shape(case, f"{block}.c2.weight")[0] for block in blocks)),
        norm=NormConfig("batch") if table is None else NormConfig("conditional", num_classes=table.shape[0]),
        upsampling="bilinear",
    )
    parts = [Layer(base, "base", to_map(first), to_map(first)), Layer(output, "output", conv)]
    parts += [BatchNorm(norm, "norm/norm")]
    for index, block in enumerate(blocks, start=1):
        parts += _convolutions(block, f"block{index}")
        parts += [BatchNorm(f"{block}.b{number}", f"block{index}/norm{number}/norm") for number in (1, 2)]

    def call(state, inputs, train):
        labels = [inputs["y"]] if "y" in inputs else []
        images, changed = torch_networks.apply(generator, parts, state, train, inputs["z"], *labels)
        return jnp.moveaxis(images, -1, 1), changed

    compare_calls(case, call, case.inputs("in/"), case.input("cot"), scale_of_zeros=1.0)


@suite.kind("*_D", inputs=["sd/*", "in/x", "in/y", "cot"], notes=["n_params", "cfg"])
def run_discriminator(case: Case):
    """As in the library, whose ReLU overwrites its input, and where it does not."""
    blocks, x = _numbered(case, "block"), case.input("in/x")
    table = case.arrays.get("sd/l_y.weight")
    head = next(name for name in _numbered(case, "l") if name != "l_y")
    settings = {
        "image_shape": (*x.shape[2:], x.shape[1]),
        "channels": tuple(_shape(case, f"{block}.c2.weight_orig")[0] for block in blocks),
        "downsamples": _downsamples(case, blocks, math.gcd(*x.shape[2:])),
        "num_classes": 0 if table is None else table.shape[0],
        "spectral": SpectralNorm(eps=1e-12),
    }
    parts = [Layer(head, "head/linear", dense)]
    parts += [] if table is None else [Layer("l_y", "head/embed", lambda weight: weight, kernel="embedding")]
    for index, block in enumerate(blocks, start=1):
        parts += _convolutions(block, f"block{index}", shortcut=bool(case.keys(f"sd/{block}.c_sc.*")))

    def call_of(activated_shortcut):
        discriminator = resnet.Discriminator(activated_shortcut=activated_shortcut, **settings)

        def call(state, inputs, train):
            labels = [inputs["y"]] if "y" in inputs else []
            images = jnp.moveaxis(inputs["x"], 1, -1)
            output, changed = torch_networks.apply(discriminator, parts, state, train, images, *labels)
            return output.logits[:, None], changed

        return call

    inputs = case.inputs("in/")
    compare_calls(case, call_of(True), inputs, case.input("cot"))
    state = case.inputs("sd/")
    out, _ = run_as_program(lambda: call_of(False)(state, inputs, False))
    case.compare("contrast/eval_out_if_relu_not_inplace", out)


def _numbered(case: Case, prefix: str) -> list[str]:
    """Names of the layers that are called by a prefix and a number, in their order."""
    names = {key.removeprefix("sd/").split(".")[0] for key in case.keys("sd/*")}
    return sorted((name for name in names if re.fullmatch(rf"{prefix}\d+", name)), key=lambda name: (len(name), name))


def _shape(case: Case, name: str) -> tuple[int, ...]:
    return case.arrays[f"sd/{name}"].shape


def _downsamples(case: Case, blocks: list[str], pixels: int) -> int:
    """How many blocks halve their input: those with a shortcut that is none for a change of channels, or can halve."""
    count = 0
    while count < len(blocks) and case.keys(f"sd/{blocks[count]}.c_sc.*") and pixels % 2 == 0:
        count, pixels = count + 1, pixels // 2
    return count


def _convolutions(block: str, ours: str, *, shortcut: bool = True) -> list[Layer]:
    names = {"c1": "conv1", "c2": "conv2", **({"c_sc": "shortcut"} if shortcut else {})}
    return [Layer(f"{block}.{name}", f"{ours}/{path}", conv) for name, path in names.items()]
