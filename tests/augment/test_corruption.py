import jax
import jax.numpy as jnp
import numpy as np

from flaxgan import augment
from flaxgan.augment import corruption

NOISE = augment.AugmentSpec(noise=1, noise_std=0.25)
CUTOUT = augment.AugmentSpec(cutout=1, cutout_size=0.5)
HALF = jnp.asarray(0.5)


def _cut(images, centre):
    draw = augment.Draw(jnp.full(len(images), -1.0), jnp.tile(jnp.array([centre]), (len(images), 1)))
    return corruption.cut_out(images, augment.Draws(cutout=draw), HALF, CUTOUT)


def test_noise_is_the_noise_image_times_its_strength():
    noise_image = jnp.arange(12.0).reshape(2, 1, 2, 3)
    draw = augment.Draw(jnp.array([0.4, 0.6]), jnp.array([-2.0, 1.0]))
    found = corruption.add_noise(
        jnp.ones((2, 1, 2, 3)), augment.Draws(noise=draw, noise_image=noise_image), HALF, NOISE
    )
    np.testing.assert_allclose(found, 1 + noise_image * np.array([0.5, 0])[:, None, None, None])


def test_about_half_of_the_images_get_noise_of_half_normal_strength():
    shape = (500, 8, 8, 3)
    draws = augment.draw(jax.random.key(0), NOISE, 500, shape[1:])
    strength = jnp.std(corruption.add_noise(jnp.zeros(shape), draws, HALF, NOISE), axis=(1, 2, 3))
    assert abs(float(jnp.mean(strength > 0)) - 0.5) < 4 * 0.5 / np.sqrt(500)
    expected = 0.25 * np.sqrt(2 / np.pi)
    np.testing.assert_allclose(jnp.mean(strength[strength > 0]), expected, rtol=0.2)


def test_cutout_blanks_half_of_the_width_and_height():
    found = _cut(jnp.ones((1, 8, 12, 2)), (0.5, 0.5))
    expected = np.ones((8, 12, 2))
    expected[2:6, 3:9] = 0
    np.testing.assert_array_equal(found[0], expected)


def test_cutout_ends_at_the_border():
    """The centre is (x, y): three quarters of the width fall outside to the right, half of the height at the top."""
    found = _cut(jnp.ones((1, 8, 8, 1)), (1.0, 0.0))
    expected = np.ones((8, 8, 1))
    expected[:2, 6:] = 0
    np.testing.assert_array_equal(found[0], expected)


def test_about_half_of_the_images_are_cut_and_the_others_are_whole():
    draws = augment.draw(jax.random.key(0), CUTOUT, 1000, (4, 4, 1))
    found = corruption.cut_out(jnp.ones((1000, 4, 4, 1)), draws, HALF, CUTOUT)
    assert abs(float(jnp.mean(jnp.min(found, axis=(1, 2, 3)) == 0)) - 0.5) < 4 * 0.5 / np.sqrt(1000)


def test_a_pixel_in_the_centre_survives_where_cutout_is_not_applied():
    draw = augment.Draw(jnp.array([0.6]), jnp.array([[0.5, 0.5]]))
    images = jnp.ones((1, 5, 5, 1))
    np.testing.assert_array_equal(corruption.cut_out(images, augment.Draws(cutout=draw), HALF, CUTOUT), images)


def test_without_corruptions_the_images_are_returned_untouched():
    images = jnp.ones((1, 4, 4, 1))
    for function in (corruption.add_noise, corruption.cut_out):
        assert function(images, augment.Draws(), HALF, augment.preset("bgcf")) is images
