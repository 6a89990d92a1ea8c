"""StyleGAN2's networks against stylegan2/networks.npz, with the output of every block."""

import functools
import re
from typing import Any

import jax
import pytest
import reference_networks
from flax import linen as nn
from flax.traverse_util import flatten_dict
from goldens import Case, Suite, nchw, nhwc
from reference_states import options, variables

from flaxgan.nn import pyramid
from flaxgan.nn.mapping import MappingNetwork
from flaxgan.nn.style_discriminator import DiscriminatorBlock
from flaxgan.nn.style_synthesis import SynthesisBlock

suite = Suite(__name__, float32=2e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("G_*", inputs=["state/*", "z", "c", "ws_rand"])
def run_generator(case: Case):
    network = reference_networks.generator(options(case, "num_ws", "block_resolutions", "channels", "psi_cut"))
    inputs = case.optional_input("z"), case.optional_input("c")
    state = variables(case, network, *inputs)
    case.check("num_ws is the reference's", case.option("num_ws") == network.num_ws)
    _check_pyramid(case, network.synthesis)

    map_styles = functools.partial(jax.jit(network.apply, static_argnames=["method", "train", "mutable"]), state)
    synthesize = functools.partial(jax.jit(_synthesize, static_argnums=(0, 3)), network, state)
    if "w_avg_after_train_call" in case.arrays:
        _, updated = map_styles(*inputs, method="map", train=True, mutable="buffers")
        case.compare("w_avg_after_train_call", updated["buffers"]["mapping"]["w_avg"])
    for key in case.keys("ws*"):
        if key != "ws_rand":
            case.compare(key, map_styles(*inputs, method="map", **_truncation(case, key)))
    for key in case.keys("img_*"):
        ws = case.input("ws_rand") if key == "img_ws_rand" else None
        ws = map_styles(*inputs, method="map", **_truncation(case, key)) if ws is None else ws
        case.compare(key, nchw(synthesize(ws, "none" if key.startswith("img_none") else "const")[0]))
    _, blocks = synthesize(map_styles(*inputs, method="map"), "const")
    _compare_blocks(case, blocks)


@suite.kind("D_*", inputs=["state/*", "img", "c"])
def run_discriminator(case: Case):
    not_arguments = ("block_resolutions", "param_names", "buffer_names")
    network, freeze_layers = reference_networks.discriminator(options(case, *not_arguments))
    inputs = nhwc(case.input("img")), case.optional_input("c")
    state = variables(case, network, *inputs)
    height, width, _ = network.image_shape
    resolutions = tuple(pyramid.resolution(grid) for grid in pyramid.grids(height, width)[:0:-1])
    case.check("the resolutions are the reference's", case.option("block_resolutions") == resolutions)
    _check_names(case, flatten_dict(state["params"], sep="/"), network.layers[:freeze_layers])

    found, captured = jax.jit(functools.partial(_capture, network))(state, *inputs)
    case.compare("logits", found.logits[:, None])
    if "cmap" in case.arrays:
        case.compare("cmap", captured["mapping"])
    _compare_blocks(case, {name: output for name, output in captured.items() if name != "mapping"})


def _synthesize(network: nn.Module, state: dict[str, Any], ws: jax.Array, noise_mode: str):
    """The images, and (features, image) after each block by the block's name."""
    images, captured = _capture(network, state, ws, method="synthesize", noise_mode=noise_mode)
    return images, captured["synthesis"]


def _capture(network: nn.Module, state: dict[str, Any], *inputs: Any, **keywords: Any) -> tuple[Any, dict[str, Any]]:
    """The network's output, and the outputs of its blocks and label mapping in a tree of their names."""
    kinds = (SynthesisBlock, DiscriminatorBlock, MappingNetwork)
    capture = lambda module, method: isinstance(module, kinds) and method == "__call__"
    output, mutated = network.apply(
        state, *inputs, **keywords, capture_intermediates=capture, mutable=["intermediates"]
    )
    is_captured = lambda node: "__call__" in node
    first_call = lambda node: node["__call__"][0]
    return output, jax.tree.map(first_call, mutated["intermediates"], is_leaf=is_captured)


def _compare_blocks(case: Case, blocks: dict[str, Any]) -> None:
    """Features and image of the first sample after each block."""
    for name, (x, image) in blocks.items():
        case.compare(f"act_x/{name}", nchw(x[:1]))
        key = f"act_img/{name}"
        case.check(f"an image follows as {key}", (image is not None) == (key in case.arrays))
        if image is not None:
            case.compare(key, nchw(image[:1]))


def _check_pyramid(case: Case, network: nn.Module) -> None:
    """The resolutions of the blocks and their channels."""
    grids = pyramid.grids(*network.image_shape[:2])
    widths = {
        str(pyramid.resolution(grid)): pyramid.channels(grid, network.channel_base, network.channel_max)
        for grid in grids
    }
    resolutions = tuple(pyramid.resolution(grid) for grid in grids)
    case.check("the resolutions are the reference's", case.option("block_resolutions") == resolutions)
    case.check("the channels are the reference's", case.option("channels") == widths)


def _check_names(case: Case, params: dict[str, Any], frozen_layers: tuple[str, ...]) -> None:
    """Our parameters are the reference's, and those of the frozen layers are the reference's buffers."""
    frozen = {name for name in params if name.rpartition("/")[0] in frozen_layers}
    trained = {name.replace(".", "/") for name in case.option("param_names")}
    buffers = {name.replace(".", "/") for name in case.option("buffer_names")}
    case.check("the trained parameters are the reference's", trained == set(params) - frozen)
    case.check("the frozen ones are", {name for name in buffers if not name.endswith("resample_filter")} == frozen)


def _truncation(case: Case, key: str) -> dict[str, Any]:
    """The arguments behind "..._psi07" and, with the cutoff of the options, "..._psi05_cut"."""
    found = re.search(r"_psi(\d+)(_cut)?$", key)
    if found is None:
        return {"truncation_psi": 1.0}
    psi = int(found.group(1)) / 10 ** (len(found.group(1)) - 1)
    if found.group(2) is None:
        return {"truncation_psi": psi}
    case.check(f"the psi of {key} is that of psi_cut", case.option("psi_cut")["psi"] == psi)
    return {"truncation_psi": psi, "truncation_cutoff": case.option("psi_cut")["cutoff"]}
