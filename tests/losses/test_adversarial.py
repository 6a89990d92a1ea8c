"""Adversarial losses against NumPy in float64, with their gradients against finite differences of that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import lookup
from flaxgan.losses import adversarial

NAMES = lookup.function_names(adversarial)


def softplus(x):
    return np.logaddexp(0, x)


REFERENCES = {
    "non_saturating": lambda real, fake: (softplus(fake) + softplus(-real), softplus(-fake)),
}
"""A loss without an entry here fails."""


@pytest.fixture
def logits():
    """Moderate ones, and some so large that exp() overflows."""
    real, fake = np.random.default_rng(0).normal(scale=3, size=(2, 8))
    real[:3], fake[:3] = [-150, 0, 150], [150, 0, -150]
    return real, fake


@pytest.mark.parametrize("name", NAMES)
def test_equals_numpy(name, logits):
    with jax.enable_x64(True):
        losses = lookup.function(adversarial, name)(*map(jnp.asarray, logits))
    for found, expected in zip(losses, REFERENCES[name](*logits), strict=True):
        assert found.shape == (8,)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("side", [0, 1], ids=["d_loss", "g_loss"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name, side, logits):
    function = lookup.function(adversarial, name)
    with jax.enable_x64(True):
        gradients = jax.grad(lambda *x: jnp.sum(function(*x)[side]), argnums=(0, 1))(*map(jnp.asarray, logits))
    expected = finite_differences(lambda *x: np.sum(REFERENCES[name](*x)[side]), logits)
    np.testing.assert_allclose(gradients, expected, rtol=1e-7, atol=1e-7)


def finite_differences(function, arrays, step=1e-5):
    """Central differences of a scalar function of two arrays, one number at a time."""
    point = np.stack(arrays)
    gradient = np.empty_like(point)
    for index in np.ndindex(point.shape):
        move = np.zeros_like(point)
        move[index] = step
        gradient[index] = (function(*(point + move)) - function(*(point - move))) / (2 * step)
    return gradient


@pytest.mark.parametrize("name", NAMES)
def test_float32_and_jit(name, logits):
    function = lookup.function(adversarial, name)
    arrays = [jnp.asarray(x, jnp.float32) for x in logits]
    for eager, jitted in zip(function(*arrays), jax.jit(function)(*arrays), strict=True):
        assert eager.dtype == jitted.dtype == jnp.float32
        np.testing.assert_allclose(eager, jitted, rtol=1e-6)


def test_known_values_of_non_saturating():
    d_loss, g_loss = adversarial.non_saturating(jnp.zeros(1), jnp.zeros(1))
    np.testing.assert_allclose(d_loss, 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(g_loss, np.log(2), rtol=1e-6)
