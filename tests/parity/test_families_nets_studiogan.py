"""BigGAN as in PyTorch-StudioGAN, and its SNGAN-like network, against families/nets_studiogan.npz.

StudioGAN's conventions: spectral normalization as PyTorch's (no iteration in evaluation mode), eps 1e-4 in the norms,
and discriminators whose ReLU overwrites its input.
"""

import jax.numpy as jnp
import pytest
import torch_networks
from big_states import Gamma, Norm, SpectralLayer, blocks, convolutions, embedding
from goldens import Case, Suite, run_as_program
from layer_calls import STUDIOGAN, compare_calls
from torch_networks import State, dense

from flaxgan.networks import _biggan_plan, biggan
from flaxgan.nn.biggan_blocks import VectorNormConfig
from flaxgan.nn.biggan_networks import Discriminator, GeneratorBody

ATTENTION = {"conv1x1_theta": "theta", "conv1x1_phi": "phi", "conv1x1_g": "g", "conv1x1_attn": "o"}
CONVOLUTIONS = {"conv2d0": "shortcut", **{f"conv2d{i}": f"conv{i}" for i in range(1, 5)}}
# In float32 a ReLU whose input is within rounding of zero may switch.
OF_GRADIENTS = {"float32": 1e-2, "float64": 5e-7}

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*_G", inputs=["sd/*", "in/z", "in/y", "cot"], notes=["n_params"])
def run_generator(case: Case):
    state, cfg = case.inputs("sd/"), case.option("cfg")
    _, pixels, *size = case.arrays["train/out"].shape
    doublings = len(_biggan_plan.generator_outputs((*size, pixels)))
    paths, depth = _paths(state, doublings)
    first = state["linear0.bias"].size * 4**doublings // (size[0] * size[1])
    body = GeneratorBody(
        (*size, pixels),
        (first, *_channels(state, paths, depth)),
        VectorNormConfig(eps=1e-4, spectral=STUDIOGAN),
        _attention(paths),
        depth=depth,
        spectral=STUDIOGAN,
    )
    generator = biggan.Generator(body, cfg["ncls"], cfg["shared"], hierarchical=cfg["shared"] > 0)
    parts = [
        SpectralLayer("linear0", "body/base", dense, map_channels=first),
        Norm("bn4", "body/norm/norm"),
        SpectralLayer("conv2d5", "body/output"),
    ]
    parts += [embedding("shared", "shared")] if cfg["shared"] else []
    for name, ours in paths:
        parts += _block(state, name, f"body/{ours}")

    def call(state, inputs, train):
        images, changed = torch_networks.apply(generator, parts, state, train, inputs["z"], inputs["y"])
        return jnp.moveaxis(images, -1, 1), changed

    inputs, cot = case.inputs("in/"), case.input("cot")
    compare_calls(case, call, inputs, cot, scale_of_zeros=1.0, of_gradients=OF_GRADIENTS)


@suite.kind("*_D", inputs=["sd/*", "in/x", "in/y", "cot"], notes=["n_params"])
def run_discriminator(case: Case):
    """As in the library, whose ReLU overwrites its input, and where it does not."""
    state, cfg, x = case.inputs("sd/"), case.option("cfg"), case.input("in/x")
    image_shape = (*x.shape[2:], x.shape[1])
    is_deep = "input_conv.bias" in state
    groups = len(_biggan_plan.discriminator_channels(image_shape, 1, None)) - is_deep
    paths, depth = _paths(state, groups)
    stem = [state["input_conv.bias"].size] if is_deep else []
    parts = [SpectralLayer("linear1", "head/linear", dense), embedding("embedding", "head/embed")]
    parts += [SpectralLayer("input_conv", "stem")] if is_deep else []
    for name, ours in paths:
        parts += _block(state, name, ours)

    def call_of(activated_shortcut):
        discriminator = Discriminator(
            image_shape,
            (*stem, *_channels(state, paths, depth)),
            _biggan_plan.downsamples(image_shape),
            cfg["ncls"],
            _attention(paths),
            activated_shortcut=activated_shortcut,
            depth=depth,
            spectral=STUDIOGAN,
        )

        def call(state, inputs, train):
            images = jnp.moveaxis(inputs["x"], 1, -1)
            output, changed = torch_networks.apply(discriminator, parts, state, train, images, inputs["y"])
            return output.logits, changed

        return call

    inputs = case.inputs("in/")
    compare_calls(case, call_of(True), inputs, case.input("cot"), of_gradients=OF_GRADIENTS)
    out, _ = run_as_program(lambda: call_of(False)(state, inputs, False))
    case.compare("contrast/eval_out_if_relu_not_inplace", out)


def _paths(state: State, groups: int) -> tuple[list[tuple[str, str]], int]:
    """(their name, our path) of all blocks and attentions, and the number of blocks in each of so many groups, or 0."""
    names = blocks(state)
    is_attention = {name: f"{name}.sigma" in state for name in names}
    count = sum(not attention for attention in is_attention.values())
    depth = count // groups if f"{names[0]}.conv2d4.bias" in state else 0
    paths, index = [], 0
    for name in names:
        group = index // max(depth, 1)
        if is_attention[name]:
            paths.append((name, f"attention{group}"))
            continue
        paths.append((name, f"block{group + 1}_{index % depth + 1}" if depth else f"block{group + 1}"))
        index += 1
    return paths, depth


def _channels(state: State, paths: list[tuple[str, str]], depth: int) -> list[int]:
    """Output channels of each group of blocks."""
    last_conv, suffix = ("conv2d4", f"_{depth}") if depth else ("conv2d2", "")
    groups = [name for name, ours in paths if ours.startswith("block") and ours.endswith(suffix)]
    return [state[f"{name}.{last_conv}.bias"].size for name in groups]


def _attention(paths: list[tuple[str, str]]) -> tuple[int, ...]:
    """Indices of the groups that attention follows."""
    return tuple(int(ours.removeprefix("attention")) - 1 for _, ours in paths if ours.startswith("attention"))


def _block(state: State, theirs: str, ours: str) -> list[SpectralLayer | Norm | Gamma]:
    """The layers of a block or attention."""
    norms = sorted({key.split(".")[3] for key in state if key.startswith(f"{theirs}.bn")})
    return [
        *convolutions(state, theirs, ours, CONVOLUTIONS | ATTENTION),
        *(Norm(f"{theirs}.{norm}", f"{ours}/norm{norm.removeprefix('bn')}/norm") for norm in norms),
        *([Gamma(f"{theirs}.sigma", ours)] if f"{theirs}.sigma" in state else []),
    ]
