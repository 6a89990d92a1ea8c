"""What every adversarial loss promises: finite values and gradients for the logits [N] that every family returns."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from flaxgan import lookup
from flaxgan.losses import adversarial

LOSSES = lookup.function_names(adversarial)


def _values_and_gradients(name: str):
    """(real, fake) -> of each network its losses [N] and the gradients of their mean by the logits of both kinds."""
    loss = lookup.function(adversarial, name)

    def both(real, fake):
        losses = loss(real, fake)
        gradient_of = lambda index: jax.grad(lambda pair: jnp.mean(loss(*pair)[index]))
        return losses, [gradient_of(index)((real, fake)) for index in (0, 1)]

    return jax.jit(both)


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_finite_and_say_where_to_go(name):
    random = np.random.default_rng(0)
    program = _values_and_gradients(name)
    for scale in (1.0, 1e4, -1e4):
        real, fake = jnp.asarray(scale * random.uniform(0.1, 0.9, (2, 8)), jnp.float32)
        with tiny_runs.quick_compilation():
            losses, gradients = jax.device_get(program(real, fake))
        for of_network in losses:
            assert of_network.shape == (8,) and of_network.dtype == np.float32
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((losses, gradients)))
        if scale == 1:
            (d_real, d_fake), (_, g_fake) = gradients
            # A step against the gradient moves D's scores of reals up and of fakes down, and G's of fakes up.
            assert d_real.sum() < 0 < d_fake.sum() and g_fake.sum() < 0


@pytest.mark.parametrize("name", LOSSES)
def test_settings_are_keywords_with_defaults(name):
    """A recipe gives them as loss_settings."""
    first, second, *settings = inspect.signature(lookup.function(adversarial, name)).parameters.values()
    assert (first.name, second.name) == ("real_logits", "fake_logits")
    for setting in settings:
        assert setting.kind is setting.KEYWORD_ONLY and setting.default is not setting.empty, setting.name
