"""The recipes of DCGAN, SNGAN, projection and SELF-MOD: the papers' numbers, and what their variants differ in."""

import dataclasses
import math

import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding

NAMES = (
    "dcgan_celeba64",
    "sngan_cifar10",
    "sngan_projection_imagenet128",
    "selfmod_dcgan_celeba",
    "selfmod_sngan_cifar10",
    "selfmod_conditional_cifar10",
)


def _load(name: str):
    recipe, _, variant = name.partition(":")
    return load_recipe(f"{tiny_runs.ROOT / 'configs' / recipe}.py{':' * bool(variant)}{variant}")


def _steps(config, kimg: float) -> int:
    """Of the generator, until so many real images were shown."""
    return math.ceil(1000 * kimg / (config.batch_size * config.d_steps))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("dcgan_celeba64", (128, None, 1, 39571, "non_saturating", 0.0002, 0.5, 0.999, "none")),
        ("sngan_cifar10", (64, 128, 5, 50_000, "hinge", 0.0002, 0.0, 0.9, "linear")),
        ("sngan_projection_imagenet128", (64, 128, 5, 450_000, "hinge", 0.0002, 0.0, 0.9, "linear")),
        ("selfmod_dcgan_celeba", (64, None, 1, 100_000, "non_saturating", 0.0002, 0.5, 0.999, "none")),
        ("selfmod_sngan_cifar10", (64, None, 5, 40_000, "non_saturating", 0.0002, 0.5, 0.999, "none")),
        ("selfmod_conditional_cifar10", (64, None, 5, 40_000, "hinge", 0.0002, 0.5, 0.999, "none")),
    ],
)
def test_recipe_has_the_values_of_its_paper(name, row):
    """Batch, G's own, D steps, G steps, loss, Adam; references are in the recipes' headers."""
    config = _load(name)
    adam = config.d_optimizer
    assert config.g_optimizer == adam and adam.name == "adam"
    assert row == (
        config.batch_size,
        config.g_batch_size,
        config.d_steps,
        _steps(config, config.total_kimg),
        config.loss,
        adam.learning_rate,
        adam.b1,
        adam.b2,
        adam.decay,
    )


def test_projection_decays_in_its_last_50000_steps():
    config = _load("sngan_projection_imagenet128")
    assert _steps(config, config.total_kimg - config.d_optimizer.decay_start_kimg) == 50_000


@pytest.mark.parametrize("variant", ["", "tiny"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("selfmod")])
def test_plain_variants_differ_in_the_generators_norm_alone(name, variant):
    config, plain = _load(f"{name}:{variant}"), _load(f"{name}:{variant}{'_' * bool(variant)}plain")
    assert dataclasses.replace(config, network=plain.network) == plain
    shape = (*config.data.resolution_px, config.data.channels)
    gan, other = (binding.build_gan(one, shape) for one in (config, plain))
    kinds = gan.generator.norm.kind, other.generator.norm.kind
    assert kinds == ("self_modulated", "conditional" if config.data.num_classes else "batch")
    norm = dataclasses.replace(gan.generator.norm, kind=other.generator.norm.kind)
    assert gan.generator.clone(norm=norm) == other.generator
    assert gan.discriminator == other.discriminator and gan.z_dim == other.z_dim


@pytest.mark.parametrize("name", NAMES)
def test_another_variant_is_refused_by_name(name):
    with pytest.raises(ValueError, match="variant: found 'huge', allowed: .*tiny"):
        _load(f"{name}:huge")
