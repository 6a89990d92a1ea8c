"""Fields in which the families' reference implementations differ from each other, in every variant of the recipes."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import ema

FAMILIES = {
    "biggan": ("biggan_imagenet128", "biggan_imagenet128:tiny"),
    "sagan": ("sagan_imagenet128", "sagan_imagenet128:tiny"),
    "sngan": (
        "sngan_cifar10",
        "sngan_cifar10:tiny",
        "sngan_projection_imagenet128",
        "sngan_projection_imagenet128:tiny",
    ),
    "dcgan": ("dcgan_celeba64", "dcgan_celeba64:tiny"),
    "pggan": ("pggan_celebahq1024", "pggan_celebahq1024:paper", "pggan_celebahq1024:tiny"),
    "stylegan": ("stylegan_ffhq1024", "stylegan_ffhq1024:tiny"),
    "compare_gan": tuple(
        f"{recipe}{variant}"
        for recipe in ("selfmod_dcgan_celeba", "selfmod_sngan_cifar10", "selfmod_conditional_cifar10")
        for variant in ("", ":plain", ":tiny", ":tiny_plain")
    ),
}


def _configs(family: str):
    for name in FAMILIES[family]:
        recipe, _, variant = name.partition(":")
        yield name, load_recipe(f"{tiny_runs.ROOT / 'configs' / recipe}.py{':' * bool(variant)}{variant}")


@pytest.mark.parametrize(
    ("family", "d_passes"),
    [
        ("biggan", "concatenated"),
        ("sagan", "concatenated"),
        ("compare_gan", "concatenated"),
        ("sngan", "reals_first"),
        ("dcgan", "reals_first"),
    ],
)
def test_the_discriminator_sees_fakes_and_reals_as_in_the_reference(family, d_passes):
    for name, config in _configs(family):
        assert config.d_passes == d_passes, name


def test_tensorflow_and_chainer_add_eps_to_the_uncorrected_root():
    for family in ("sagan", "sngan", "compare_gan", "pggan", "stylegan"):
        for name, config in _configs(family):
            assert config.g_optimizer.eps_hat and config.d_optimizer.eps_hat, name
    for family in ("biggan", "dcgan"):
        for name, config in _configs(family):
            assert not config.g_optimizer.eps_hat and not config.d_optimizer.eps_hat, name


def test_growing_families_average_the_generator_before_its_update():
    for family in ("pggan", "stylegan"):
        for name, config in _configs(family):
            assert config.ema.before_g and config.update_order == "d_g", name


def test_the_paper_variant_of_pggan_alone_ramps_its_learning_rate_up():
    for name, config in _configs("pggan"):
        expected = 40 if name.endswith(":paper") else 0
        assert config.g_optimizer.rampup_kimg == config.d_optimizer.rampup_kimg == expected, name


def test_biggan_averages_from_step_20000_of_the_generator_on():
    """Its step s, counted from 1, begins after (s - 1) * 2 * 2048 real images."""
    config = dict(_configs("biggan"))["biggan_imagenet128"]
    images_per_step = config.d_steps * config.batch_size
    kept = [
        float(ema.ema_beta(config.ema, jnp.int32((step - 1) * images_per_step), images_per_step))
        for step in (19_999, 20_000)
    ]
    assert kept == [0, np.float32(0.9999)]
    assert (config.network["norm_eps"], config.network["spectral_eps"], config.g_optimizer.eps) == (1e-4, 1e-4, 1e-6)


def test_sngan_dequantizes_real_images():
    found = {name: config.data.dequantize for name, config in _configs("sngan")}
    assert found == {name: ":tiny" not in name for name in found}
