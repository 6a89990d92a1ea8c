"""Local response normalization against NumPy, one channel at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops.lrn import local_response_norm
from flaxgan.ops.pixel_norm import normalize_2nd_moment


def _activations(*shape):
    return np.random.default_rng(0).normal(size=shape)


def _slow(x, size, alpha, beta, k, average):
    y = np.empty_like(x)
    for channel in range(x.shape[-1]):
        window = x[..., max(channel - size // 2, 0) : channel + (size - 1) // 2 + 1]
        y[..., channel] = x[..., channel] / (k + alpha / (size if average else 1) * np.sum(window**2, axis=-1)) ** beta
    return y


@pytest.mark.parametrize(("size", "average"), [(1, True), (4, False), (4, True), (5, False), (20, True)])
def test_matches_the_definition(size, average):
    x = _activations(2, 3, 7)
    with jax.enable_x64(True):
        y = local_response_norm(jnp.asarray(x), size=size, alpha=0.7, beta=0.6, k=0.5, average=average)
    np.testing.assert_allclose(y, _slow(x, size, 0.7, 0.6, 0.5, average), rtol=1e-12)


def test_the_window_of_all_channels_is_pixel_norm():
    x = jnp.asarray(_activations(2, 3, 7), jnp.float32)
    np.testing.assert_allclose(local_response_norm(x), normalize_2nd_moment(x), rtol=1e-6)
    whole = local_response_norm(x, size=2 * 7 - 1, alpha=1 / 7, average=False)  # Every window holds every channel.
    np.testing.assert_allclose(whole, normalize_2nd_moment(x), rtol=1e-6)


@pytest.mark.parametrize("size", [3, None])
def test_derivatives(size):
    check_derivatives(lambda x: local_response_norm(x, size=size, alpha=0.5, beta=0.75, k=0.3), _activations(2, 5))


def test_zeros_stay_zero_with_finite_derivatives():
    y, pullback = jax.vjp(local_response_norm, jnp.zeros((1, 4)))
    np.testing.assert_array_equal(y, 0)
    assert np.isfinite(pullback(jnp.ones_like(y))[0]).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_neither_overflows_nor_changes(dtype):
    y = program(lambda x: local_response_norm(x, size=3))(jnp.full((1, 4), 300, dtype))  # 300^2 exceeds float16.
    assert y.dtype == dtype
    np.testing.assert_allclose(np.asarray(y[0, 1:3], np.float32), 1, rtol=1e-2)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"alpha": -1.0}, {"k": 0.0}])
def test_refuses(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name}: found"):
        local_response_norm(jnp.ones((2, 3)), **wrong)


def test_refuses_a_number():
    with pytest.raises(ValueError, match="^x: found"):
        local_response_norm(jnp.ones(()))
