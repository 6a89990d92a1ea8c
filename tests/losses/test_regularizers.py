"""Regularizers: what the trainer can supply them with, and their settings."""

import dataclasses
import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import lookup
from flaxgan.losses import penalties, regularizers
from flaxgan.train.setup import SUPPLIED
from flaxgan.train.state import TrainState

NAMES = lookup.function_names(regularizers)


@pytest.mark.parametrize("name", NAMES)
def test_asks_for_what_the_trainer_supplies(name):
    parameters = inspect.signature(lookup.function(regularizers, name)).parameters.values()
    wanted = {p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY}
    settings = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert any(wanted <= set(supplied) for supplied in SUPPLIED.values())
    assert all(p.default is not inspect.Parameter.empty for p in settings)


def test_r1_is_half_gamma_times_the_squared_gradient():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 4, 1)), jnp.float32)
    discriminate = lambda images: jnp.sum(images**2, axis=(1, 2, 3))
    penalty, changes = regularizers.r1(discriminate, images, gamma=6.0)
    np.testing.assert_allclose(penalty, 3 * np.sum(np.square(2 * images), axis=(1, 2, 3)), rtol=1e-5)
    assert changes == {}


def test_path_length_is_weighted_and_moves_its_mean():
    rng = np.random.default_rng(1)
    ws, noise = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 3, 4), (2, 4, 4, 1)))
    synthesize = lambda ws: jnp.sum(ws**2, axis=(1, 2))[:, None, None, None] * jnp.ones((1, 4, 4, 1))
    expected, new_mean, _ = penalties.path_length_penalty(synthesize, ws, noise, 0.5, decay=0.1)
    penalty, changes = regularizers.path_length(synthesize, ws, noise, 0.5, weight=3.0, decay=0.1)
    np.testing.assert_allclose(penalty, 3 * expected, rtol=1e-6)
    assert set(changes) <= {field.name for field in dataclasses.fields(TrainState)}
    np.testing.assert_allclose(changes["pl_mean"], new_mean, rtol=1e-6)
