"""Bias and activation against NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops.bias_act import ACTIVATIONS, bias_act

SQRT2 = math.sqrt(2)
# Name -> (function of x and alpha, default gain, default alpha).
EXPECTED = {
    "linear": (lambda x, alpha: x, 1, 0),
    "relu": (lambda x, alpha: np.maximum(x, 0), SQRT2, 0),
    "lrelu": (lambda x, alpha: np.where(x < 0, alpha * x, x), SQRT2, 0.2),
    "tanh": (lambda x, alpha: np.tanh(x), 1, 0),
    "sigmoid": (lambda x, alpha: 1 / (1 + np.exp(-x)), 1, 0),
    "elu": (lambda x, alpha: np.where(x < 0, np.exp(x) - 1, x), 1, 0),
    "selu": (
        lambda x, alpha: 1.0507009873554804934 * np.where(x < 0, 1.6732632423543772848 * (np.exp(x) - 1), x),
        1,
        0,
    ),
    "softplus": (lambda x, alpha: np.log(1 + np.exp(x)), 1, 0),
    "swish": (lambda x, alpha: x / (1 + np.exp(-x)), SQRT2, 0),
}


def _arrays(axis=-1, shape=(2, 3, 4)):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape), rng.normal(size=shape[axis])


def test_the_reference_has_every_activation():
    assert set(EXPECTED) == set(ACTIVATIONS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_defaults_and_options(activation):
    x, b = _arrays()
    function, gain, alpha = EXPECTED[activation]
    options = {"alpha": 0.35, "gain": 1.3, "clamp": 0.8}

    def run(x, b):
        default = bias_act(x, b, activation=activation)
        return default, bias_act(x, b, activation=activation, **options), bias_act(x, activation=activation)

    with jax.enable_x64(True):
        default, full, no_bias = program(run)(x, b)
    np.testing.assert_allclose(default, function(x + b, alpha) * gain, rtol=1e-12)
    np.testing.assert_allclose(full, np.clip(function(x + b, 0.35) * 1.3, -0.8, 0.8), rtol=1e-12)
    np.testing.assert_allclose(no_bias, function(x, alpha) * gain, rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives(activation):
    check_derivatives(lambda x, b: jnp.sin(bias_act(x, b, activation=activation)), *_arrays(), tolerance=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_large_inputs_have_finite_values_and_derivatives(activation):
    x = np.array([-300.0, -20.0, 0.0, 20.0, 300.0], np.float32)
    y, slope = program(lambda x: jax.jvp(lambda x: bias_act(x, activation=activation), (x,), (jnp.ones_like(x),)))(x)
    assert np.isfinite(y).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_the_bias_runs_along_an_axis(axis):
    x, b = _arrays(axis)
    moved = np.moveaxis(np.moveaxis(x, axis, -1) + b, -1, axis)
    y = bias_act(jnp.asarray(x, jnp.float32), jnp.asarray(b, jnp.float32), axis=axis)
    np.testing.assert_allclose(y, moved, rtol=1e-6)


def test_the_derivative_at_zero_is_the_negative_sides():
    slope = lambda activation: float(jax.grad(lambda x: bias_act(x, activation=activation, gain=1))(0.0))
    assert slope("relu") == 0
    assert slope("lrelu") == pytest.approx(0.2)


def test_clamp_of_zero_is_a_clamp_and_none_is_none():
    x = jnp.array([-3e4, 1.0, 3e4])
    np.testing.assert_array_equal(bias_act(x, clamp=0), 0)
    np.testing.assert_array_equal(bias_act(x), x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_keeps_the_dtype(dtype):
    x, b = (array.astype(np.float32) for array in _arrays())

    def run(x):
        return [bias_act(x, b, activation=activation, clamp=2.0) for activation in EXPECTED]

    for y, (function, gain, alpha) in zip(program(run)(jnp.asarray(x, dtype)), EXPECTED.values(), strict=True):
        assert y.dtype == dtype
        expected = np.clip(function(x + b, alpha) * gain, -2, 2)
        np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=8 * float(jnp.finfo(dtype).eps))


def test_jit_equals_eager():
    x, b = (jnp.asarray(array, jnp.float32) for array in _arrays())
    function = lambda x, b: bias_act(x, b, activation="lrelu", clamp=1.0)
    np.testing.assert_allclose(jax.jit(function)(x, b), function(x, b), rtol=1e-6)


@pytest.mark.parametrize(
    ("b", "options", "name"),
    [
        (4, {"activation": "gelu"}, "activation"),
        (4, {"clamp": -1.0}, "clamp"),
        (3, {}, "b"),
        (1, {}, "b"),
        (4, {"axis": 1}, "b"),
        (4, {"axis": 3}, "axis"),
    ],
)
def test_refuses(b, options, name):
    with pytest.raises(ValueError, match=f"^{name}: found"):
        bias_act(jnp.zeros((2, 3, 4)), jnp.zeros(b), **options)
