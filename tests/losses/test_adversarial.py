"""Adversarial losses against NumPy in float64, with their gradients against finite differences of that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import lookup
from flaxgan.errors import FieldError
from flaxgan.losses import adversarial

NAMES = lookup.function_names(adversarial)


def softplus(x):
    return np.logaddexp(0, x)


def relu(x):
    return np.maximum(x, 0)


def relative(real, fake):
    return real - np.mean(fake), fake - np.mean(real)


def relativistic_average(real, fake, loss=softplus):
    real, fake = relative(real, fake)
    return loss(-real) + loss(fake), loss(real) + loss(-fake)


def contrast(real, fake):
    """Each image's two cross entropies, one sum of exponentials at a time."""
    of_real = [np.logaddexp.reduce([r, *fake]) - r for r in real]
    of_fake = [np.logaddexp.reduce([-f, *-real]) + f for f in fake]
    return np.add(of_real, of_fake)


REFERENCES = {
    "dual_contrastive": lambda real, fake: (contrast(real, fake), -contrast(real, fake)),
    "hinge": lambda real, fake: (relu(1 - real) + relu(1 + fake), -fake),
    "lsgan": lambda real, fake: ((real - 1) ** 2 / 2 + fake**2 / 2, (fake - 1) ** 2 / 2),
    "minimax": lambda real, fake: (softplus(fake) + softplus(-real), -softplus(fake)),
    "non_saturating": lambda real, fake: (softplus(fake) + softplus(-real), softplus(-fake)),
    "relativistic": lambda real, fake: (softplus(fake - real), softplus(real - fake)),
    "relativistic_average": relativistic_average,
    "relativistic_average_hinge": lambda real, fake: relativistic_average(real, fake, lambda x: relu(1 + x)),
    "wasserstein": lambda real, fake: (fake - real, -fake),
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
    np.testing.assert_allclose(gradients, expected, rtol=1e-7, atol=1e-7 * max(1, np.max(np.abs(expected))))


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


def test_settings_of_lsgan(logits):
    real, fake = (x / 50 for x in logits)
    settings = {"real_target": -1.0, "fake_target": 2.0, "weight": 3.0, "fake_weight": 0.1}
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    for scores in (real, fake), (sigmoid(real), sigmoid(fake)):
        found = adversarial.lsgan(jnp.asarray(real), jnp.asarray(fake), **settings, sigmoid=scores[0] is not real)
        d_loss = 3 * ((scores[0] + 1) ** 2 + 0.1 * (scores[1] - 2) ** 2)
        np.testing.assert_allclose(found, [d_loss, 3 * (scores[1] + 1) ** 2], rtol=1e-5)


def test_dual_contrastive_with_sides_exchanged(logits):
    """Away from where D is sure to win, so that the two forms differ by more than a sign."""
    real, fake = logits
    d_loss, g_loss = adversarial.dual_contrastive(jnp.asarray(real), jnp.asarray(fake), g_form="swapped")
    np.testing.assert_allclose(d_loss, contrast(real, fake), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(g_loss, contrast(fake, real), rtol=1e-5, atol=1e-6)


SHAPES = {
    ((8,), (8, 1)): r"^fake_logits: found shape \(8, 1\), allowed: \[N\]",
    ((8, 1), (8,)): r"^real_logits: found shape \(8, 1\), allowed: \[N\]",
    ((8, 1), (8, 1)): r"^real_logits: found shape \(8, 1\), allowed: \[N\]",
    ((), (8,)): r"^real_logits: found shape \(\), allowed: \[N\]",
    ((8,), (1,)): r"^fake_logits: found shape \(1,\), allowed: \(8,\), that of real_logits",
}


@pytest.mark.parametrize("call", [lambda f, *x: f(*x), jax.eval_shape], ids=["eager", "traced"])
@pytest.mark.parametrize(("shapes", "message"), SHAPES.items(), ids=map(str, SHAPES))
@pytest.mark.parametrize("name", NAMES)
def test_logits_never_broadcast(name, shapes, message, call):
    with pytest.raises(FieldError, match=message):
        call(lookup.function(adversarial, name), *map(jnp.zeros, shapes))


def test_an_unknown_form_is_refused():
    with pytest.raises(FieldError, match="g_form: found 'none', allowed: minimax, swapped"):
        adversarial.dual_contrastive(jnp.zeros(2), jnp.zeros(2), g_form="none")


@pytest.mark.parametrize("name", NAMES)
def test_g_gains_where_d_is_fooled(name):
    """Raising the logits of fakes raises the discriminator's loss and lowers the generator's."""
    function = lookup.function(adversarial, name)
    mean = lambda fake, side: jnp.mean(function(jnp.asarray([0.3, 0.1]), fake)[side])
    gradients = [jax.grad(mean)(jnp.asarray([0.1, 0.2]), side) for side in (0, 1)]
    assert np.all(gradients[0] > 0) and np.all(gradients[1] < 0)
