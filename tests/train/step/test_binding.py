import dataclasses

import jax
import numpy as np
import pytest
import small_gans
import tiny_runs

from flaxgan.config import AugmentConfig, OptimizerConfig
from flaxgan.losses import adversarial
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def config():
    return load_recipe(f"{tiny_runs.RECIPE}:rgb")


def test_names_become_code(config):
    built = binding.build(config, SHAPE)
    assert built.loss.function is adversarial.non_saturating
    assert built.gan.image_shape == SHAPE and built.gan.num_classes == 2 and built.gan.z_dim == 8
    assert built.augment_spec is None and built.config is config
    assert len(built.optimizers) == 2


def test_labels_follow_the_data_or_are_balanced(config):
    share = lambda built: float(np.mean(built.labels(jax.random.key(0), (2000,))))
    assert abs(share(binding.build(config, SHAPE)) - 0.5) < 0.05
    assert abs(share(binding.build(config, SHAPE, class_counts=np.array([1, 9]))) - 0.9) < 0.03


def test_augmentation_is_that_of_the_preset(config):
    augmenting = dataclasses.replace(config, augment=AugmentConfig(policy="fixed", preset="cutout", p=0.5))
    assert binding.build(augmenting, SHAPE).augment_spec is not None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"loss": "hinged"}, r"config.loss: flaxgan.losses.adversarial has no function 'hinged'; allowed: .*non_satur"),
        ({"network": {"name": "x"}}, r"config.network.name: flaxgan.networks has no module 'x'; allowed: .*stylegan2"),
        ({"network": {"name": "stylegan2", "zdim": 3}}, r"config.network: unknown field 'zdim', allowed: .*z_dim"),
        ({"network": {"name": "stylegan2", "z_dim": 0}}, r"config.network: z_dim: found 0, allowed: "),
        ({"network": {"name": "stylegan2", "dtype": "float8"}}, r"config.network: dtype: found 'float8', allowed: "),
        (
            {"augment": AugmentConfig(policy="ada", preset="bg_")},
            r"config.augment.preset: .*found 'bg_', allowed: .*bgc",
        ),
        ({"d_optimizer": OptimizerConfig(name="lion")}, r"d_optimizer.name: found 'lion', allowed: adam, rmsprop, sgd"),
    ],
)
def test_names_without_code_are_refused_with_those_there_are(config, changes, message):
    with pytest.raises(ValueError, match=message):
        binding.build(dataclasses.replace(config, **changes), SHAPE)


def test_an_image_that_the_network_cannot_make_is_refused(config):
    with pytest.raises(ValueError, match=r"config.network: image_shape: found 17x17 pixels"):
        binding.build(config, (17, 17, 3))


def test_style_mixing_needs_styles(config, monkeypatch):
    monkeypatch.setattr(binding, "build_gan", lambda *unused: small_gans.gan(style=False))
    with pytest.raises(ValueError, match=r"config.style_mixing_probability: found 0.9, allowed: 0, because network"):
        binding.build(config, small_gans.IMAGE_SHAPE)


def test_complete_writes_out_every_argument_of_the_code(config):
    assert set(config.network) >= {"name", "z_dim", "activation", "resample_filter"}
    assert config.g_regularizers == {"path_length": {"interval": 2, "batch_shrink": 2, "weight": 2.0, "decay": 0.01}}
    assert config.d_regularizers == {"r1": {"interval": 4, "gamma": 0.1}}
    assert binding.complete(config) == config


@pytest.mark.parametrize("interval", [0, -1, 2.0, "4"])
def test_intervals_are_whole_numbers_from_one(config, interval):
    wrong = dataclasses.replace(config, d_regularizers={"r1": {"interval": interval}})
    with pytest.raises(
        ValueError, match=r"config.d_regularizers.r1.interval: found .*, allowed: a whole number from 1"
    ):
        binding.complete(wrong)


def test_what_nothing_would_read_is_refused(config):
    for field, chosen, message in (
        ("d_regularizers", {"r1": {"batch_shrink": 2}}, "unknown field 'batch_shrink', allowed: gamma, interval"),
        (
            "d_regularizers",
            {"path_length": {}},
            "found 'path_length', allowed: a regularizer of this network: .*r1",
        ),
        ("g_regularizers", {"r1": {}}, "found 'r1', allowed: a regularizer of this network: .*path_length"),
    ):
        with pytest.raises(ValueError, match=rf"config.{field}.*{message}"):
            binding.complete(dataclasses.replace(config, **{field: chosen}))
