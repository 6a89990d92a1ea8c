"""Normalization against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops.pixel_norm import normalize_2nd_moment


def _vectors(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("scale", [1.0, 1e-4])  # With the small one the epsilon counts.
@pytest.mark.parametrize("axis", [-1, 1])
def test_matches_the_definition(axis, scale):
    x = _vectors(2, 3, 4) * scale
    with jax.enable_x64(True):
        y = normalize_2nd_moment(jnp.asarray(x), axis=axis, epsilon=1e-6)
    expected = x / np.sqrt(np.mean(np.square(x), axis=axis, keepdims=True) + 1e-6)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_derivatives():
    check_derivatives(normalize_2nd_moment, _vectors(2, 5))


def test_a_zero_vector_stays_zero_with_finite_derivatives():
    x = jnp.zeros((1, 4))
    y, pullback = jax.vjp(normalize_2nd_moment, x)
    np.testing.assert_array_equal(y, 0)
    assert np.isfinite(pullback(jnp.ones_like(y))[0]).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_keeps_the_dtype_without_overflow(dtype):
    y = program(normalize_2nd_moment)(jnp.asarray([[300.0, -300.0]], dtype))  # 300^2 is out of float16's range.
    assert y.dtype == dtype
    np.testing.assert_allclose(np.asarray(y, np.float32), [[1, -1]], rtol=1e-2)


def test_jit_equals_eager():
    x = jnp.asarray(_vectors(3, 4), jnp.float32)
    np.testing.assert_allclose(jax.jit(normalize_2nd_moment)(x), normalize_2nd_moment(x), rtol=1e-6)


def test_an_axis_that_is_not_there():
    with pytest.raises(ValueError, match=r"^axis: found"):
        normalize_2nd_moment(jnp.zeros((2, 3)), axis=2)
