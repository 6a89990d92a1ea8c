"""The layers of StyleGAN2 against stylegan2/layers.npz."""

import functools
import re
from typing import Any

import jax
import pytest
import reference_networks
from flax import linen as nn
from goldens import Case, Suite, nchw, nhwc
from reference_states import options, variables

suite = Suite(__name__, float32=1e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("fc_*", inputs=["state/*", "x"])
def run_fully_connected(case: Case):
    layer, x = reference_networks.fully_connected(options(case)), case.input("x")
    case.compare("y", jax.jit(layer.apply)(variables(case, layer, x), x))


@suite.kind("conv2dlayer_*", inputs=["state/*", "x"])
def run_equalized_conv(case: Case):
    layer = reference_networks.equalized_conv(options(case, "gain_for_y_gain"))
    x = nhwc(case.input("x"))
    apply = _compiled(layer, variables(case, layer, x), "gain")
    case.compare("y", nchw(apply(x)))
    case.compare("y_gain", nchw(apply(x, gain=case.option("gain_for_y_gain"))))


@suite.kind("mapping_*", inputs=["state/*", "z", "c"])
def run_mapping(case: Case):
    network = reference_networks.mapping_network(options(case, "trunc"))
    inputs = case.optional_input("z"), case.optional_input("c")
    state = variables(case, network, *inputs)
    case.compare("y", _compiled(network, state)(*inputs))
    truncated = _compiled(network, state, "truncation_cutoff")
    for name, truncation in case.option("trunc", {}).items():
        ws = truncated(*inputs, truncation_psi=truncation["psi"], truncation_cutoff=truncation["cutoff"])
        case.compare(f"y_trunc_{name}", ws)
    if case.keys("*train_call*"):
        _compare_training(case, network, state, inputs)


def _compare_training(case: Case, network: nn.Module, state: dict[str, Any], inputs: tuple[Any, ...]) -> None:
    """Two calls that update w_avg, the second with truncation, and one in between that does not."""
    train = jax.jit(functools.partial(network.apply, update_w_avg=True, mutable=["buffers"]))
    ws, updated = train(state, *inputs)
    case.compare("y_train_call", ws)
    case.compare("w_avg_after_1_train_call", updated["buffers"]["w_avg"])
    _, skipped = jax.jit(functools.partial(network.apply, mutable=["buffers"]))({**state, **updated}, *inputs)
    case.compare("w_avg_after_skip_call", skipped["buffers"]["w_avg"])
    (key,) = case.keys("y_train_call_2_psi*")
    ws, updated = train({**state, **skipped}, *inputs, truncation_psi=_psi(key))
    case.compare(key, ws)
    case.compare("w_avg_after_2_train_calls", updated["buffers"]["w_avg"])


@suite.kind("synthesislayer_*", inputs=["state/*", "x", "w"])
def run_synthesis_layer(case: Case):
    layer = reference_networks.synthesis_layer(options(case, "gain_for_y_const_gain"))
    x, w = nhwc(case.input("x")), case.input("w")
    apply = _compiled(layer, variables(case, layer, x, w), "noise_mode", "gain")
    case.compare("y_const", nchw(apply(x, w, noise_mode="const")))
    case.compare("y_none", nchw(apply(x, w, noise_mode="none")))
    gain = case.option("gain_for_y_const_gain")
    case.compare("y_const_gain", nchw(apply(x, w, noise_mode="const", gain=gain)))


@suite.kind("torgb_*", inputs=["state/*", "x", "w"])
def run_to_rgb(case: Case):
    layer = reference_networks.to_rgb(options(case))
    x, w = nhwc(case.input("x")), case.input("w")
    case.compare("y", nchw(jax.jit(layer.apply)(variables(case, layer, x, w), x, w)))


@suite.kind("synthesisblock_*", inputs=["state/*", "x", "img", "ws"])
def run_synthesis_block(case: Case):
    block = reference_networks.synthesis_block(options(case, "num_conv", "num_torgb"))
    case.check("num_conv is the reference's", case.option("num_conv") == block.num_convs)
    case.check("num_torgb is the reference's", case.option("num_torgb") == block.has_rgb)
    x, image = (None if (array := case.optional_input(key)) is None else nhwc(array) for key in ("x", "img"))
    inputs = x, image, case.input("ws")
    apply = _compiled(block, variables(case, block, *inputs), "noise_mode")
    for noise_mode in ("const", "none"):
        x, image = apply(*inputs, noise_mode=noise_mode)
        case.compare(f"x_out_{noise_mode}", nchw(x))
        key = f"img_out_{noise_mode}"
        case.check(f"an image is returned as {key}", (image is not None) == (key in case.arrays))
        if image is not None:
            case.compare(key, nchw(image))


def _compiled(module: nn.Module, state: dict[str, Any], *static: str):
    """module.apply with these variables, compiled once for each value of the static arguments."""
    return functools.partial(jax.jit(module.apply, static_argnames=static), state)


def _psi(key: str) -> float:
    """0.6 from "..._psi06"."""
    digits = re.search(r"_psi(\d+)", key).group(1)
    return int(digits) / 10 ** (len(digits) - 1)
