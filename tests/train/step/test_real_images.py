import dataclasses

import jax
import numpy as np
import pytest
import small_gans

from flaxgan.config import GrowthConfig
from flaxgan.ops.image import to_float
from flaxgan.train.step import phases

KEY = jax.random.key(7)


def _reals(setup, name: str = "d_main"):
    return phases.by_name(setup, name).reals


def _with_data(setup, **fields):
    return small_gans.replace_config(setup, data=dataclasses.replace(setup.config.data, **fields))


def test_real_images_are_flipped_where_the_batch_says_so():
    """Without data.mirror the program does not even take the flips."""
    setup, batch = small_gans.setup_of(style=False), small_gans.batch()
    images, flip = np.asarray(to_float(batch["images"])), np.asarray(batch["flip"])
    assert 0 < flip.sum() < len(flip)
    flipped = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
    for of, expected in ((setup, images), (_with_data(setup, mirror=True), flipped)):
        reals = jax.jit(_reals(of))
        np.testing.assert_array_equal(reals(batch, 0, KEY).images, expected)
        assert ("rev" in reals.lower(batch, 0, KEY).as_text()) is of.config.data.mirror


def test_real_images_shrink_and_fade_like_generated_ones():
    growing = dataclasses.replace(small_gans.gan(), stages=((2, 2), (4, 4)))
    growth = GrowthConfig(start_px=2, fade_kimg=0.1, stabilize_kimg=0.08)
    setup = dataclasses.replace(small_gans.setup_of(growth=growth, total_kimg=1.0), gan=growing)
    batch = small_gans.batch()
    images = np.asarray(to_float(batch["images"]), np.float64)
    means = images.reshape(-1, 2, 2, 2, 2, 1).mean(axis=(2, 4))
    small = _reals(setup.at(0))(batch, 40, KEY).images
    np.testing.assert_allclose(small, means, atol=1e-6)
    blended = _reals(setup.at(1))(batch, 80 + 25, KEY).images
    upsampled = means.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(blended, 0.25 * images + 0.75 * upsampled, atol=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
def test_dequantized_images_are_those_of_the_official_sngan_code(mirror):
    """u / 128 - 1 + U(0, 1/128): each pixel within the interval of its level, uniformly."""
    setup = _with_data(small_gans.setup_of(style=False), dequantize=True, mirror=mirror)
    batch = small_gans.batch()
    levels = np.asarray(batch["images"], np.float64)
    if mirror:
        levels = np.where(np.asarray(batch["flip"])[:, None, None, None], levels[:, :, ::-1], levels)
    each = np.stack([_reals(setup)(batch, 0, jax.random.key(seed)).images for seed in range(200)])
    noise = (each.astype(np.float64) - (levels / 128 - 1)) * 128
    assert noise.min() > -1e-4 and noise.max() < 1 + 1e-4
    np.testing.assert_allclose(noise.mean(axis=0), 0.5, atol=0.15)
    np.testing.assert_allclose([noise.mean(), noise.var()], [1 / 2, 1 / 12], atol=3e-3)
    assert each.min() >= -1 and each.max() < 1


def test_dequantization_changes_no_other_draw_and_each_phase_and_step_has_its_own():
    plain = small_gans.setup_of(style=False)
    setup, batch = _with_data(plain, dequantize=True), small_gans.batch()
    phase, other = (phases.by_name(of, "d_main") for of in (setup, plain))
    key = phase.key(3, 5, 0)
    jax.tree.map(np.testing.assert_array_equal, phase.draw(key).latents.z, other.draw(key).latents.z)
    found = phase.reals(batch, 0, key).images
    np.testing.assert_array_equal(found, phase.reals(batch, 0, key).images)
    assert np.any(found != phase.reals(batch, 0, phase.key(3, 6, 0)).images)
    with jax.debug_key_reuse(True):
        jax.jit(phase.program(seed=0)).trace(small_gans.init(setup), batch, 0)
