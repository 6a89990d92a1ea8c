"""The recipes that grow: their stages, against the official codes' configurations for 8 GPUs."""

import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding, stage_plan


def _plan(name):
    """The config of a recipe and its stages."""
    config = load_recipe(str(tiny_runs.ROOT / "configs" / name))
    sides = config.data.resolution_px
    return config, stage_plan.stages(config, binding.build_gan(config, (*sides, config.data.channels)))


@pytest.mark.parametrize(
    ("name", "start", "kimg", "batches", "rates", "total"),
    [
        (
            "pggan_celebahq1024.py",
            4,
            600,
            [512, 256, 128, 64, 32, 32, 32, 32, 32],
            [0.001, 0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003, 0.003],
            12000,
        ),
        ("pggan_celebahq1024.py:paper", 4, 800, [16, 16, 16, 16, 16, 16, 14, 6, 3], [None] * 9, 19000),
        (
            "stylegan_ffhq1024.py",
            8,
            600,
            [256, 128, 64, 32, 32, 32, 32, 32],
            [0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003, 0.003],
            25000,
        ),
    ],
)
def test_stages_of_the_published_configuration(name, start, kimg, batches, rates, total):
    config, stages = _plan(name)
    assert [stage.image_shape for stage in stages] == [(start << n, start << n, 3) for n in range(len(batches))]
    assert [stage.batch_size for stage in stages] == batches
    assert [stage.learning_rate for stage in stages] == rates
    assert [stage.fade_images for stage in stages] == [0] + [1000 * kimg] * (len(batches) - 1)
    # A stage takes whole steps, so each begins up to a batch later.
    ends = [kimg * (2 * n - 1) for n in range(1, len(batches))]
    assert [stage.first_image // 1000 for stage in stages[1:]] == ends
    assert config.total_kimg == total and config.d_optimizer.learning_rate == 0.001
    assert (config.d_optimizer.b1, config.d_optimizer.b2, config.d_optimizer.eps) == (0.0, 0.99, 1e-8)
    assert config.g_optimizer == config.d_optimizer and config.update_order == "d_g"
    assert config.growth.full_size_penalties


def test_losses_are_the_papers():
    pggan, _ = _plan("pggan_celebahq1024.py")
    penalty, drift = pggan.d_regularizers["gradient_penalty"], pggan.d_regularizers["drift"]
    assert (pggan.loss, pggan.ema.decay, drift["weight"]) == ("wasserstein", 0.999, 0.001)
    assert (penalty["weight"], penalty["target"], penalty["interval"]) == (10.0, 1.0, None)
    stylegan, _ = _plan("stylegan_ffhq1024.py")
    assert (stylegan.loss, stylegan.ema.half_life_kimg, stylegan.style_mixing_probability) == (
        "non_saturating",
        10,
        0.9,
    )
    assert stylegan.d_regularizers["r1"]["gamma"] == 10 and stylegan.d_regularizers["r1"]["interval"] is None


@pytest.mark.parametrize("name", ["pggan_celebahq1024.py:tiny", "stylegan_ffhq1024.py:tiny"])
def test_tiny_variants_grow_from_4_to_16_pixels(name):
    config, stages = _plan(name)
    assert [stage.image_shape for stage in stages] == [(4, 4, 1), (8, 8, 1), (16, 16, 1)]
    assert stages[-1].first_image < 1000 * config.total_kimg / 2


@pytest.mark.parametrize("name", ["pggan_celebahq1024.py:small", "stylegan_ffhq1024.py:paper"])
def test_unknown_variants_are_refused(name):
    with pytest.raises(ValueError, match="variant: found .*, allowed: .*tiny"):
        _plan(name)
