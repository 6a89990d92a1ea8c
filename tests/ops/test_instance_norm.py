"""Instance normalization, plain and with a style, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives

from flaxgan.ops.instance_norm import adaptive_instance_norm, instance_norm

X = np.random.default_rng(0).normal(size=(2, 3, 5, 4)) * 3 + 1
STYLE = np.random.default_rng(1).normal(size=(2, 8))


def _slow(x, epsilon):
    y = np.zeros_like(x)
    for sample in range(x.shape[0]):
        for channel in range(x.shape[3]):
            plane = x[sample, :, :, channel]
            y[sample, :, :, channel] = (plane - plane.mean()) / np.sqrt(plane.var() + epsilon)
    return y


@pytest.mark.parametrize("epsilon", [1e-8, 0.5])
def test_matches_the_definition(epsilon):
    with jax.enable_x64(True):
        y = instance_norm(jnp.asarray(X), epsilon=epsilon)
        styled = adaptive_instance_norm(jnp.asarray(X), jnp.asarray(STYLE), epsilon=epsilon)
    np.testing.assert_allclose(y, _slow(X, epsilon), rtol=1e-12, atol=1e-13)
    gain, offset = STYLE[:, None, None, :4], STYLE[:, None, None, 4:]
    np.testing.assert_allclose(styled, (gain + 1) * _slow(X, epsilon) + offset, rtol=1e-12, atol=1e-13)


def test_derivatives():
    check_derivatives(lambda x, style: adaptive_instance_norm(x, style), X[:1, :2], STYLE[:1])


def test_a_constant_map_gives_the_offset_with_finite_derivatives():
    x, style = jnp.ones((2, 3, 5, 4)), jnp.asarray(STYLE, jnp.float32)
    y, pullback = jax.vjp(adaptive_instance_norm, x, style)
    np.testing.assert_array_equal(y, jnp.broadcast_to(style[:, None, None, 4:], x.shape))
    assert all(np.isfinite(gradient).all() for gradient in pullback(jnp.ones_like(y)))


def test_low_precision_has_statistics_of_float32():
    x = jnp.asarray(X * 1e3, jnp.float16)  # Squares are out of float16's range.
    y = adaptive_instance_norm(x, jnp.asarray(STYLE, jnp.float32))
    assert y.dtype == instance_norm(x).dtype == jnp.float16
    expected = (STYLE[:, None, None, :4] + 1) * _slow(X, 1e-8) + STYLE[:, None, None, 4:]
    np.testing.assert_allclose(y, expected, atol=2e-2)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (instance_norm, (jnp.zeros((2, 3)),), "x: found shape"),
        (adaptive_instance_norm, (jnp.zeros((2, 3)), jnp.zeros((2, 6))), "x: found shape"),
        (adaptive_instance_norm, (jnp.zeros((2, 3, 3, 4)), jnp.zeros((2, 4))), "style: found shape"),
        (adaptive_instance_norm, (jnp.zeros((2, 3, 3, 4)), jnp.zeros((1, 8))), "style: found shape"),
    ],
)
def test_wrong_shapes_are_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
