"""Combinations that cannot be are refused before anything is compiled, by the name of the field."""

import dataclasses
import inspect

import contracts
import jax
import pytest

from flaxgan import lookup, networks
from flaxgan.config import Config, GrowthConfig
from flaxgan.train.programs import preflight
from flaxgan.train.step import binding, training_setup


def _build(family: str) -> inspect.Signature:
    return inspect.signature(lookup.module(networks, family).build)


def _families_with(field: str) -> list[str]:
    return [family for family in contracts.FAMILIES if field in _build(family).parameters]


def _setup(family: str, **fields: object) -> training_setup.TrainingSetup:
    config = binding.complete(dataclasses.replace(contracts.family_config(family), **fields))
    return binding.build(config, contracts.image_shape(config))


def _without_labels(family: str, **network: object) -> Config:
    config = contracts.family_config(family, num_classes=0)
    return dataclasses.replace(config, network={**config.network, **network})


def _refused(config: Config, *words: str) -> None:
    with pytest.raises(ValueError) as error:
        binding.build(config, contracts.image_shape(config))
    for word in words:
        assert word in str(error.value), str(error.value)


@pytest.mark.parametrize("family", _families_with("projection"))
def test_projection_without_labels(family):
    _refused(_without_labels(family, projection=True), "config.network.projection: found True, allowed: ")


@pytest.mark.parametrize("family", _families_with("g_norm"))
def test_normalization_by_class_without_labels(family):
    """A family that can do without labels all the same, as BigGAN by parts of its latent, generates without them."""
    config = _without_labels(family, g_norm="conditional")
    try:
        gan = binding.build(config, contracts.image_shape(config)).gan
    except ValueError as error:
        assert "config.network.g_norm: found 'conditional', allowed: " in str(error)
        return
    z = jax.ShapeDtypeStruct((2, gan.z_dim), "float32")
    images, _ = jax.eval_shape(gan.generator.init_with_output, jax.random.key(0), z)
    assert images.shape == (2, *gan.image_shape)


@pytest.mark.parametrize("family", _families_with("g_norm"))
def test_unknown_normalization(family):
    _refused(_without_labels(family, g_norm="weight"), "config.network.g_norm: found 'weight', allowed: ")


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_labels_of_a_family_that_takes_none(family):
    """What can be built with labels is tested to use them, in test_networks.py."""
    if not contracts.conditional(family):
        _refused(contracts.family_config(family, num_classes=10), "config.network: num_classes: found 10, allowed: 0")


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_growing_of_a_family_that_cannot(family):
    if not contracts.build(family).gan.stages:
        with pytest.raises(ValueError, match=rf"config.growth.start_px: found 4, allowed: None, .*network '{family}'"):
            _setup(family, growth=GrowthConfig(start_px=4))


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_growing_from_a_size_that_is_no_stage(family):
    stages = contracts.build(family).gan.stages
    if stages:
        with pytest.raises(ValueError, match=r"config.growth.start_px: found 7, allowed: 4, 8"):
            _setup(family, growth=GrowthConfig(start_px=7))


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_styles_that_a_family_does_not_have(family):
    if not contracts.build(family).gan.has_style:
        with pytest.raises(ValueError, match=rf"config.g_regularizers: found 'path_length'.*network '{family}'"):
            _setup(family, g_regularizers={"path_length": {}})
        with pytest.raises(ValueError, match=rf"config.style_mixing_probability: found 0.5.*network '{family}'"):
            _setup(family, style_mixing_probability=0.5)


@pytest.mark.parametrize("field", ["g_regularizers", "d_regularizers"])
@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_latents_that_a_family_does_not_estimate(family, field):
    if not contracts.build(family).gan.encodes:
        with pytest.raises(ValueError, match=rf"config.{field}: found 'latent_correlation'.*network '{family}'"):
            _setup(family, **{field: {"latent_correlation": {}}})


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_a_batch_that_the_devices_do_not_divide(family, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 3)
    with pytest.raises(ValueError, match=r"config.batch_size: found 8, allowed: a multiple of 3 \(3 device"):
        preflight.check_batch(_setup(family))


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_an_argument_that_a_family_does_not_have(family):
    config = contracts.family_config(family)
    with pytest.raises(ValueError, match="config.network: found unknown field 'wavelets', allowed: "):
        binding.complete(dataclasses.replace(config, network={**config.network, "wavelets": 3}))
