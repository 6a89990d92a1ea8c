"""Fields in which the families' reference implementations differ from each other, in every variant of the recipes."""

import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe

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
