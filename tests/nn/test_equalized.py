"""Dense and convolutional layers whose weights are scaled by He's constant."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.nn.equalized import (
    EqualizedConv,
    FullyConnected,
    HeConv,
    HeDense,
    fir_filter,
    lrelu_gain,
    scaled_bias_act,
)

X = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)


def _leaky(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def test_dense_layer_is_the_scaled_affine_map():
    layer = FullyConnected(5, activation="lrelu", lr_multiplier=0.1, bias_init=2.0)
    x = jax.random.normal(jax.random.key(0), (3, 7))
    variables = layer.init(jax.random.key(1), x)
    weight, bias = (np.asarray(variables["params"][name], np.float64) for name in ("weight", "bias"))
    expected = _leaky(np.asarray(x, np.float64) @ (weight * 0.1 / np.sqrt(7)) + bias * 0.1)
    np.testing.assert_allclose(layer.apply(variables, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(layer.apply)(variables, x), expected, rtol=1e-5, atol=1e-6)
    assert np.all(bias == 2)


def test_dense_weights_start_at_one_over_the_multiplier():
    params = FullyConnected(300, lr_multiplier=0.01).init(jax.random.key(1), jnp.ones((1, 200)))["params"]
    assert abs(np.std(params["weight"]) / 100 - 1) < 0.02
    assert params["weight"].dtype == jnp.float32 and not np.any(params["bias"])


def test_dense_layer_never_computes_below_float32():
    layer = FullyConnected(2, use_bias=False)
    variables = layer.init(jax.random.key(0), jnp.ones((1, 3)))
    assert layer.apply(variables, jnp.ones((1, 3), jnp.bfloat16)).dtype == jnp.float32
    assert list(variables["params"]) == ["weight"]


def test_convolution_is_the_sum_over_shifted_pixels():
    layer = EqualizedConv(4, kernel_size=3, activation="lrelu", conv_clamp=1.0)
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    params = {"weight": jax.random.normal(jax.random.key(1), (3, 3, 3, 4)), "bias": jnp.arange(4.0) / 4}
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    weight = np.asarray(params["weight"], np.float64) / np.sqrt(27)
    expected = sum(padded[:, i : i + 5, j : j + 6] @ weight[i, j] for i in range(3) for j in range(3))
    expected = _leaky(expected + np.asarray(params["bias"]))
    for gain in (1.0, 0.5):
        found = layer.apply({"params": params}, x, gain=gain)
        np.testing.assert_allclose(found, np.clip(expected * gain, -gain, gain), rtol=1e-5, atol=1e-5)
        assert np.max(np.abs(found)) == gain


@pytest.mark.parametrize(("options", "shape"), [({"up": 2}, (1, 8, 12, 4)), ({"down": 2}, (1, 2, 3, 4))])
def test_resampling_changes_the_grid(options, shape):
    layer = EqualizedConv(4, kernel_size=3, **options)
    out, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.ones((1, 4, 6, 2)))
    assert out.shape == shape
    assert variables["params"]["weight"].shape == (3, 3, 2, 4)


def test_compute_type_is_that_of_the_field():
    layer = EqualizedConv(4, kernel_size=1, dtype="bfloat16")
    x = jnp.ones((1, 2, 2, 3))
    out, variables = layer.init_with_output(jax.random.key(0), x)
    assert out.dtype == jnp.bfloat16 and variables["params"]["weight"].dtype == jnp.float32
    np.testing.assert_allclose(out, layer.clone(dtype=None).apply(variables, x), rtol=2e-2, atol=2e-2)


def test_gain_scales_value_and_clamp():
    x = jnp.array([[-3.0, 0.25, 3.0]])
    y = scaled_bias_act(x, None, activation="linear", gain=0.5, clamp=1.0)
    np.testing.assert_allclose(y, [[-0.5, 0.125, 0.5]])


def test_filter_is_normalized_in_float64():
    assert fir_filter((1, 2, 4)).dtype == np.float64
    assert abs(fir_filter((1, 2, 4)).sum() - 1) < 1e-15


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match="x: found shape"):
        EqualizedConv(4, kernel_size=3).init(jax.random.key(0), jnp.ones((4, 4, 3)))
    with pytest.raises(ValueError, match="activation: found 'gelu'"):
        FullyConnected(4, activation="gelu").init(jax.random.key(0), jnp.ones((4, 3)))


def _weights(*shape):
    rng = np.random.default_rng(1)
    return rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[-1]).astype(np.float32)


def _slow_conv(x, weight):
    """Correlation with zeros around x, in float64."""
    pad = weight.shape[0] // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = x.shape[1:3]
    taps = [(i, j) for i in range(weight.shape[0]) for j in range(weight.shape[1])]
    return sum(padded[:, i : i + height, j : j + width] @ weight[i, j].astype(np.float64) for i, j in taps)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("options", [{}, {"up": 2}, {"down": 2}, {"initializer": "he", "gain": 0.5}])
def test_he_conv_repeats_before_and_averages_behind(kernel_size, options):
    weight, bias = _weights(kernel_size, kernel_size, 3, 5)
    x = X.repeat(2, axis=1).repeat(2, axis=2) if "up" in options else X
    scale = 1 if "initializer" in options else math.sqrt(2 / (3 * kernel_size**2))
    expected = _slow_conv(x, weight * scale)
    if "down" in options:
        expected = expected.reshape(2, 2, 2, 3, 2, 5).mean(axis=(2, 4))
    layer = HeConv(5, kernel_size, **options)
    y = program(layer.apply)({"params": {"weight": weight, "bias": bias}}, X)
    np.testing.assert_allclose(y, expected + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("initializer", "scale"), [("equalized", 0.1 * 3 / math.sqrt(6)), ("he", 0.1)])
def test_he_dense_scales_weight_and_bias(initializer, scale):
    weight, bias = _weights(6, 5)
    layer = HeDense(5, gain=3.0, lr_multiplier=0.1, initializer=initializer)
    y = layer.apply({"params": {"weight": weight, "bias": bias}}, X[0, 0].reshape(3, 6))
    np.testing.assert_allclose(y, X[0, 0].reshape(3, 6) @ weight * scale + bias * 0.1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("initializer", "std"), [("equalized", 1 / 0.1), ("he", 2 / math.sqrt(40 * 9) / 0.1)])
def test_initial_weights_of_he_layers(initializer, std):
    """Either way, what the layer multiplies by starts with the standard deviation gain / sqrt(fan_in)."""
    dense = HeDense(200, gain=2.0, lr_multiplier=0.1, initializer=initializer)
    params = dense.init(jax.random.key(0), jnp.zeros((1, 360)))["params"]
    assert np.std(params["weight"]) == pytest.approx(std, rel=0.02) and not np.any(params["bias"])
    conv = HeConv(200, gain=2.0, use_bias=False, initializer=initializer)
    params = conv.init(jax.random.key(0), jnp.zeros((1, 4, 4, 40)))["params"]
    assert np.std(params["weight"]) == pytest.approx(std * 0.1, rel=0.02) and set(params) == {"weight"}


def test_gain_of_a_leaky_relu():
    assert lrelu_gain("equalized") == math.sqrt(2)
    assert lrelu_gain("he") == math.sqrt(2 / 1.04)


def test_compute_type_and_type_of_parameters_of_he_layers():
    layer = HeConv(5, dtype="bfloat16")
    y, variables = layer.init_with_output(jax.random.key(0), jnp.asarray(X))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert HeDense(3).init_with_output(jax.random.key(0), jnp.ones((1, 2), jnp.bfloat16))[0].dtype == jnp.float32


def test_another_initializer_is_refused():
    with pytest.raises(ValueError, match="initializer: found 'xavier', allowed: equalized, he"):
        lrelu_gain("xavier")
    with pytest.raises(ValueError, match="initializer: found 'xavier', allowed: equalized, he"):
        HeDense(3, initializer="xavier").init(jax.random.key(0), jnp.zeros((1, 2)))
