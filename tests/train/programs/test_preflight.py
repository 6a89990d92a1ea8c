import dataclasses

import jax
import pytest
import small_gans

from flaxgan.networks import stylegan2
from flaxgan.train.programs import preflight
from flaxgan.train.step import training_setup


def test_a_recipe_may_ask_for_an_accelerator():
    backend = jax.default_backend()
    preflight.check_accelerator("any")
    preflight.check_accelerator(backend)
    other = "tpu" if backend != "tpu" else "gpu"
    with pytest.raises(ValueError) as error:
        preflight.check_accelerator(other)
    message = str(error.value)
    assert f"config.accelerator: found {other!r}, allowed: 'any', because this machine has only {backend}" in message
    assert "pip install" in message and "--config.accelerator=any" in message


def test_either_accelerator_will_do(monkeypatch):
    for backend in ("gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        preflight.check_accelerator("gpu_or_tpu")
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(ValueError, match="found 'gpu_or_tpu', allowed: 'any', because this machine has only cpu"):
        preflight.check_accelerator("gpu_or_tpu")


def _setup(config, gan=None) -> training_setup.TrainingSetup:
    gan = small_gans.gan() if gan is None else gan
    return dataclasses.replace(small_gans.setup_of(), config=config, gan=gan)


@pytest.mark.parametrize("count, rounds", [(3, 1), (8, 2), (16, 1)])
def test_batch_must_be_divisible_by_devices_and_rounds(monkeypatch, count, rounds):
    monkeypatch.setattr(jax, "device_count", lambda: count)
    config = small_gans.config(batch_size=8, accumulation_rounds=rounds)
    with pytest.raises(ValueError, match=rf"config.batch_size: found 8, allowed: a multiple of {count * rounds} "):
        preflight.check_batch(_setup(config))


def test_batch_of_a_round_must_be_divisible_by_the_stddev_group():
    gan = stylegan2.build(image_shape=(8, 8, 3), num_classes=0, channel_base=64, channel_max=8, mbstd_group_size=4)
    preflight.check_batch(_setup(small_gans.config(batch_size=12), gan))
    with pytest.raises(
        ValueError, match=r"config.batch_size: found 12 in 2 round\(s\).*: group_size: found 4, allowed"
    ):
        preflight.check_batch(_setup(small_gans.config(batch_size=12, accumulation_rounds=2), gan))


def test_a_concatenated_pass_shows_the_stddev_groups_twice_the_batch():
    gan = stylegan2.build(image_shape=(8, 8, 3), num_classes=0, channel_base=64, channel_max=8, mbstd_group_size=4)
    preflight.check_batch(_setup(small_gans.config(batch_size=3), gan))
    with pytest.raises(ValueError, match=r"config.batch_size: found 6 in 1 round\(s\).*: group_size: found 4, allowed"):
        preflight.check_batch(_setup(small_gans.config(batch_size=3, d_passes="concatenated"), gan))


def test_batch_of_a_round_must_be_divisible_by_the_shrink():
    path_length = {"path_length": {"interval": 4, "batch_shrink": 3}}
    config = small_gans.config(batch_size=12, accumulation_rounds=2, g_regularizers=path_length)
    preflight.check_batch(_setup(config))
    config = small_gans.config(batch_size=8, g_regularizers=path_length)
    with pytest.raises(
        ValueError, match=r"path_length.batch_shrink: found 3, allowed: a divisor of 8, the images of a"
    ):
        preflight.check_batch(_setup(config))
