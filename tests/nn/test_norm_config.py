"""The choice of a normalization, and what it depends on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flaxgan.nn.generator_norm import NORMS
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norm_config import NormConfig

Z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
LABELS = jnp.array([1, 0, 1])


class _Conditioned(nn.Module):
    choice: NormConfig

    @nn.compact
    def __call__(self, z, labels=None):
        return self.choice.condition(z, labels)


def test_layers_have_the_fields_of_the_choice():
    choice = NormConfig("self_modulated", 3, 0.5, 0.25, 7, SpectralNorm(1e-3), False)
    layer = choice.layer("norm1")
    assert layer.name == "norm1"
    assert {field.name: getattr(layer, field.name) for field in dataclasses.fields(choice)} == vars(choice)


def test_only_the_conditional_kind_has_another_without_classes():
    assert [NormConfig(kind).without_classes().kind for kind in NORMS] == ["batch", "batch", *NORMS[2:]]


@pytest.mark.parametrize("kind", ["batch", "self_modulated"])
def test_without_classes_labels_are_ignored(kind):
    condition, variables = _Conditioned(NormConfig(kind)).init_with_output(jax.random.key(0), Z, LABELS)
    assert (condition.z is Z, condition.labels, variables) == (True, None, {})


def test_conditional_layers_depend_on_labels_and_the_latent_as_it_is():
    condition, variables = _Conditioned(NormConfig("conditional", 2)).init_with_output(jax.random.key(0), Z, LABELS)
    assert (condition.z is Z, condition.labels is LABELS, variables) == (True, True, {})


def test_self_modulation_with_classes_depends_on_the_modulated_latent():
    """z' = z + E(c) + E'(c) * z."""
    module = _Conditioned(NormConfig("self_modulated", 2))
    condition, variables = module.init_with_output(jax.random.key(0), Z, LABELS)
    tables = variables["params"]["latent"]
    offset, gain = (np.asarray(tables[name]["embedding"])[LABELS] for name in ("offset", "gain"))
    np.testing.assert_allclose(condition.z, Z + offset + gain * Z, rtol=1e-5, atol=1e-6)
