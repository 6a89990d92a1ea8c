"""Layers whose weights are scaled by He's constant."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.nn.he import HeConv, HeDense, lrelu_gain

X = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)


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
def test_convolution_repeats_before_and_averages_behind(kernel_size, options):
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
def test_dense_layer_scales_weight_and_bias(initializer, scale):
    weight, bias = _weights(6, 5)
    layer = HeDense(5, gain=3.0, lr_multiplier=0.1, initializer=initializer)
    y = layer.apply({"params": {"weight": weight, "bias": bias}}, X[0, 0].reshape(3, 6))
    np.testing.assert_allclose(y, X[0, 0].reshape(3, 6) @ weight * scale + bias * 0.1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("initializer", "std"), [("equalized", 1 / 0.1), ("he", 2 / math.sqrt(40 * 9) / 0.1)])
def test_initial_weights(initializer, std):
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


def test_compute_type_and_type_of_parameters():
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
