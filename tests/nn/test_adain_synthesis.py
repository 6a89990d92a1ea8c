"""StyleGAN's synthesis network; the formulas of its layers are checked by tests/parity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program
from growing_networks import filled, only, run

from flaxgan.nn.adain_synthesis import AdaINSynthesis, StyledLayer
from flaxgan.ops.resampling import nearest_upsample

NETWORK = AdaINSynthesis((16, 24, 3), channel_base=64, channel_max=6)
WS = np.random.default_rng(1).normal(size=(3, 6, 5)).astype(np.float32)
KEY = jax.random.key(7)


@functools.cache
def _variables():
    return filled(NETWORK, WS)


def _at_stage(stage):
    """A method that takes alpha as its last argument, to be traced."""
    return lambda module, ws, alpha: module(ws, stage=stage, alpha=alpha, noise_mode="const")


def test_initialization_makes_the_layers_of_all_stages():
    params, buffers = _variables()["params"], _variables()["buffers"]
    assert NETWORK.num_ws == 6
    assert set(params) == {"b16", "b8", "b4", "torgb16", "torgb8", "torgb4"} and set(buffers) == {"b16", "b8", "b4"}
    assert params["b4"]["const"].shape == (4, 6, 6) and set(params["b4"]) == {"const", "layer0", "conv1", "layer1"}
    layer = params["b16"]["layer0"]
    assert layer["noise_strength"].shape == layer["bias"].shape == (4,) and layer["affine"]["weight"].shape == (5, 8)
    assert buffers["b16"]["layer1"]["noise_const"].shape == (16, 24)


def test_initial_values():
    variables = program(AdaINSynthesis((8, 8, 1), channel_base=64).init)(KEY, WS[:, :4])
    params = variables["params"]
    assert np.all(params["b4"]["const"] == 1)
    for layer in (params["b4"]["layer0"], params["b8"]["layer1"]):
        assert not np.any(layer["noise_strength"]) and not np.any(layer["bias"]) and not np.any(layer["affine"]["bias"])
    assert np.std(variables["buffers"]["b8"]["layer0"]["noise_const"]) > 0.5


def test_a_new_block_of_weight_0_is_the_enlarged_stage_before():
    for stage, names in ((1, ("b4", "torgb4")), (2, ("b4", "b8", "torgb8"))):
        high = run(NETWORK, _variables(), WS, jnp.zeros(()), method=_at_stage(stage))
        low = run(NETWORK, only(_variables(), *names), WS, stage=stage - 1, noise_mode="const")
        np.testing.assert_allclose(high, nearest_upsample(low), rtol=1e-4, atol=1e-4)


def test_styles_above_the_stage_play_no_part():
    other = WS.copy()
    other[:, 4:] += 1
    first, second = (run(NETWORK, _variables(), ws, stage=1, noise_mode="const") for ws in (WS, other))
    np.testing.assert_array_equal(first, second)
    other[:, 3] += 1
    assert np.max(np.abs(run(NETWORK, _variables(), other, stage=1, noise_mode="const") - first)) > 1e-2


def test_layer_is_the_papers_formula():
    x = np.random.default_rng(0).normal(size=(3, 4, 6, 2)).astype(np.float32)
    layer, w = StyledLayer(), WS[:, 0]
    variables = filled(layer, x, w)
    params = variables["params"]
    noise = variables["buffers"]["noise_const"][:, :, None]
    y = x + noise * params["noise_strength"] + params["bias"]
    y = np.where(y > 0, y, 0.2 * y)
    y = (y - y.mean(axis=(1, 2), keepdims=True)) / np.sqrt(y.var(axis=(1, 2), keepdims=True) + 1e-8)
    style = w @ params["affine"]["weight"] / np.sqrt(5) + params["affine"]["bias"]
    expected = y * (style[:, None, None, :2] + 1) + style[:, None, None, 2:]
    np.testing.assert_allclose(run(layer, variables, x, w, noise_mode="const"), expected, rtol=1e-4, atol=1e-5)
    without = StyledLayer(use_noise=False)
    assert set(filled(without, x, w)) == {"params"} and "noise_strength" not in filled(without, x, w)["params"]


def test_noise():
    layer, x = StyledLayer(), jnp.ones((3, 4, 4, 2))
    variables = filled(layer, x, WS[:, 0])
    apply = lambda mode, key=KEY: layer.apply(variables, x, WS[:, 0], mode, rngs={"noise": key})
    random = apply("random")
    np.testing.assert_array_equal(random, apply("random"))
    assert np.max(np.abs(random - apply("random", jax.random.key(8)))) > 1e-2
    assert np.max(np.abs(random[0] - random[1])) > 1e-2 and np.max(np.abs(apply("const") - apply("none"))) > 1e-2
    assert np.ptp(apply("none"), axis=(1, 2)).max() == 0  # A constant map stays one.
    with pytest.raises(ValueError, match="noise_mode: found 'zero', allowed: random, const, none"):
        apply("zero")


@pytest.mark.parametrize("options", [{"remat": True}, {"dtype": "bfloat16"}])
def test_same_images_with_recomputation_and_nearly_in_low_precision(options):
    expected, found = (
        run(n, _variables(), WS, jnp.float32(0.5), method=_at_stage(2)) for n in (NETWORK, NETWORK.clone(**options))
    )
    assert found.dtype == jnp.float32
    tolerance = 1e-5 if "remat" in options else 0.1
    np.testing.assert_allclose(found, expected, atol=tolerance * np.max(np.abs(expected)))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"ws: found shape .*, allowed: \[N, 6, D\]"):
        jax.eval_shape(NETWORK.apply, _variables(), WS[:, :4])
    with pytest.raises(ValueError, match="stage: found 3"):
        jax.eval_shape(functools.partial(NETWORK.apply, stage=3), _variables(), WS)
