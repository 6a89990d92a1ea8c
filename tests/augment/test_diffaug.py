import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.augment import diffaug

SHAPE = (4, 6, 10, 3)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def test_draws_fill_their_ranges():
    draws = diffaug.draw(jax.random.key(0), (2000, 8, 12, 3))
    for u in draws[:3]:
        assert u.shape == (2000,) and 0 <= np.min(u) < 0.02 and 0.98 < np.max(u) < 1
    for drawn, ranges in ((draws.translation, [(-1, 2), (-2, 3)]), (draws.cutout, [(0, 9), (0, 13)])):
        for column, (low, high) in zip(np.transpose(drawn), ranges, strict=True):
            assert set(column.tolist()) == set(range(low, high))


def test_colour_around_the_means(images):
    u = np.array([0.0, 0.25, 0.5, 1.0], np.float32)
    factors = u.reshape(4, 1, 1, 1)
    np.testing.assert_allclose(diffaug.adjust_brightness(images, jnp.asarray(u)), images + factors - 0.5, atol=1e-6)
    mean = np.mean(images, axis=3, keepdims=True)
    expected = mean + 2 * factors * (images - mean)
    np.testing.assert_allclose(diffaug.adjust_saturation(images, jnp.asarray(u)), expected, rtol=1e-4, atol=1e-5)
    mean = np.mean(images, axis=(1, 2, 3), keepdims=True)
    expected = mean + (factors + 0.5) * (images - mean)
    np.testing.assert_allclose(diffaug.adjust_contrast(images, jnp.asarray(u)), expected, rtol=1e-4, atol=1e-5)


def test_translation_pixel_by_pixel(images):
    shifts = np.array([[0, 0], [1, -2], [-3, 1], [7, 0]])
    expected = np.zeros_like(images)
    for n, i, j in np.ndindex(SHAPE[:3]):
        row, column = i + shifts[n, 0], j + shifts[n, 1]
        if 0 <= row < 6 and 0 <= column < 10:
            expected[n, i, j] = images[n, row, column]
    np.testing.assert_array_equal(diffaug.translate(jnp.asarray(images), jnp.asarray(shifts)), expected)


def test_cutout_pixel_by_pixel(images):
    centers = np.array([[3, 5], [0, 0], [6, 10], [1, 9]])
    expected = images.copy()
    for n in range(4):
        for i, j in np.ndindex(3, 5):  # Half of 6 x 10.
            row, column = centers[n, 0] - 1 + i, centers[n, 1] - 2 + j
            expected[n, np.clip(row, 0, 5), np.clip(column, 0, 9)] = 0
    np.testing.assert_array_equal(diffaug.cut_out(jnp.asarray(images), jnp.asarray(centers)), expected)


def test_policies_are_chosen_by_name(images):
    draws = diffaug.draw(jax.random.key(1), SHAPE)
    found = diffaug.augment(jnp.asarray(images), draws, policies=("cutout", "translation"))
    expected = diffaug.cut_out(diffaug.translate(jnp.asarray(images), draws.translation), draws.cutout)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="policies: found 'colour', allowed: color, translation, cutout"):
        diffaug.augment(jnp.asarray(images), draws, policies=("colour",))
