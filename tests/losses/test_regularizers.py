"""Regularizers: what the trainer can supply them with, and their settings."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import lookup
from flaxgan.losses import penalties, regularizers
from flaxgan.losses.stateful import initial_state
from flaxgan.train.step import regularizer_inputs

NAMES = lookup.function_names(regularizers)


@pytest.mark.parametrize("name", NAMES)
def test_asks_for_what_the_trainer_supplies(name):
    parameters = inspect.signature(lookup.function(regularizers, name)).parameters.values()
    wanted = {p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY}
    wanted -= set(initial_state(lookup.function(regularizers, name)))
    settings = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert any(wanted <= set(regularizer_inputs.of_network(network)) for network in "gd")
    assert all(p.default is not inspect.Parameter.empty for p in settings)


def test_r1_is_half_gamma_times_the_squared_gradient():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 4, 1)), jnp.float32)
    discriminate = lambda images: jnp.sum(images**2, axis=(1, 2, 3))
    penalty, changes = regularizers.r1(discriminate, images, gamma=6.0)
    np.testing.assert_allclose(penalty, 3 * np.sum(np.square(2 * images), axis=(1, 2, 3)), rtol=1e-5)
    assert changes == {}


def scaled_squares(images):
    """A discriminator whose gradient is 2 x."""
    return jnp.sum(images**2, axis=(1, 2, 3))


def norms(images):
    return np.sqrt(np.sum(np.square(2 * np.asarray(images)), axis=(1, 2, 3)))


@pytest.fixture
def pairs():
    """(real images, fake images, numbers in [0, 1) for each), small enough for norms around 1."""
    rng = np.random.default_rng(2)
    real, fake = (jnp.asarray(0.25 * rng.normal(size=(5, 4, 3, 1)), jnp.float32) for _ in range(2))
    return real, fake, jnp.asarray(rng.uniform(size=5), jnp.float32)


def test_r2_is_the_same_on_fakes(pairs):
    penalty, changes = regularizers.r2(scaled_squares, pairs[1], gamma=6.0)
    np.testing.assert_allclose(penalty, 3 * norms(pairs[1]) ** 2, rtol=1e-5)
    assert changes == {}


@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_penalty_between_reals_and_fakes(pairs, one_sided):
    real, fake, share = pairs
    settings = {"weight": 3.0, "target": 1.2, "one_sided": one_sided, "epsilon": 0.01}
    penalty, changes = regularizers.gradient_penalty(scaled_squares, *pairs, **settings)
    share = np.reshape(share, (5, 1, 1, 1))
    excess = np.sqrt(norms(share * real + (1 - share) * fake) ** 2 + 0.01) - 1.2
    assert np.any(excess > 0) and np.any(excess < 0)
    excess = np.maximum(excess, 0) if one_sided else excess
    np.testing.assert_allclose(penalty, 3 / 1.2**2 * excess**2, rtol=1e-4, atol=1e-7)
    assert changes == {}


def test_max_gradient_penalty_is_that_of_the_largest(pairs):
    real, fake, share = pairs
    penalty, _ = regularizers.max_gradient_penalty(scaled_squares, *pairs, weight=3.0)
    share = np.reshape(share, (5, 1, 1, 1))
    expected = 3 * np.max(norms(share * real + (1 - share) * fake)) ** 2
    np.testing.assert_allclose(penalty, np.full(5, expected), rtol=1e-5)


def test_dragan_around_reals(pairs):
    real, noise, share = pairs[0], jnp.abs(pairs[1]), pairs[2]
    penalty, _ = regularizers.dragan(scaled_squares, real, share, noise, weight=3.0, target=2.0, scale=0.7)
    spread = 0.7 * np.std(np.asarray(real, np.float64), ddof=1)
    around = real + np.reshape(share, (5, 1, 1, 1)) * spread * noise
    np.testing.assert_allclose(penalty, 3 / 4 * (norms(around) - 2) ** 2, rtol=1e-4)


def test_drift_is_the_weighted_square():
    penalty, changes = regularizers.drift(jnp.asarray([3.0, -2.0]), weight=0.1)
    np.testing.assert_allclose(penalty, [0.9, 0.4], rtol=1e-6)
    assert changes == {}


@pytest.mark.parametrize("off_diagonal", [True, False])
def test_gradient_of_orthogonal_is_that_of_biggans_code(off_diagonal):
    """The update that BigGAN's code adds to the gradient: 2 * weight * (W W^T less what is wanted) W."""
    kernel = np.random.default_rng(3).normal(size=(3, 5))
    penalty = lambda kernel: regularizers.orthogonal({"kernel": kernel}, weight=0.1, off_diagonal=off_diagonal)[0]
    rows, gram = kernel.T, kernel.T @ kernel
    error = gram - np.diag(np.diag(gram)) if off_diagonal else gram - np.eye(5)
    np.testing.assert_allclose(jax.grad(penalty)(jnp.asarray(kernel)), (0.2 * error @ rows).T, rtol=1e-4, atol=1e-6)


def test_latent_correlation_is_pearsons():
    z, features = np.random.default_rng(4).normal(size=(2, 3, 6))
    penalty, changes = regularizers.latent_correlation(jnp.asarray(z), jnp.asarray(3 * features + 1), weight=0.5)
    np.testing.assert_allclose(penalty, [-0.5 * np.corrcoef(*pair)[0, 1] for pair in zip(z, features)], rtol=1e-5)
    assert changes == {}
    flat, _ = regularizers.latent_correlation(jnp.asarray(z), jnp.ones((3, 6)))
    np.testing.assert_array_equal(flat, np.zeros(3))


def test_quadratic_potential_of_pairs(pairs):
    real_logits, fake_logits = jnp.arange(5.0), jnp.ones(5)
    penalty = lambda fakes: regularizers.quadratic_potential(real_logits, fake_logits, pairs[0], fakes, weight=0.5)[0]
    distances = np.mean(np.square(pairs[0] - pairs[1]), axis=(1, 2, 3))
    np.testing.assert_allclose(penalty(pairs[1]), 0.5 * np.square(np.arange(5) - 1) / distances, rtol=1e-5)
    np.testing.assert_array_equal(jax.grad(lambda fakes: jnp.sum(penalty(fakes)))(pairs[1]), np.zeros((5, 4, 3, 1)))


def test_what_is_refused(pairs):
    with pytest.raises(ValueError, match="target: found 0, allowed: above 0"):
        regularizers.gradient_penalty(scaled_squares, *pairs, target=0)
    with pytest.raises(ValueError, match=r"fake_features: found shape \(2, 3\), allowed: \(2, 4\), that of z"):
        regularizers.latent_correlation(jnp.zeros((2, 4)), jnp.zeros((2, 3)))


def test_path_length_is_weighted_and_moves_its_mean():
    rng = np.random.default_rng(1)
    ws, noise = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 3, 4), (2, 4, 4, 1)))
    synthesize = lambda ws: jnp.sum(ws**2, axis=(1, 2))[:, None, None, None] * jnp.ones((1, 4, 4, 1))
    expected, new_mean, _ = penalties.path_length_penalty(synthesize, ws, noise, 0.5, decay=0.1)
    penalty, changes = regularizers.path_length(synthesize, ws, noise, 0.5, weight=3.0, decay=0.1)
    np.testing.assert_allclose(penalty, 3 * expected, rtol=1e-6)
    assert changes.keys() == initial_state(regularizers.path_length).keys()
    np.testing.assert_allclose(changes["pl_mean"], new_mean, rtol=1e-6)
