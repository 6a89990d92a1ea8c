import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import augment
from flaxgan.augment import color

P = jnp.ones(())
GREY = np.ones(3) / np.sqrt(3)

transform = jax.jit(color.transform, static_argnums=3)


def _images(channels, batch=2):
    return jnp.asarray(np.random.default_rng(channels).uniform(-1, 1, (batch, 3, 4, channels)), jnp.float32)


def _transform(images, spec, **values):
    batch = len(images)
    draws = {
        name: augment.Draw(jnp.full((batch,), -1.0), jnp.full((batch,), value, jnp.float32))
        for name, value in values.items()
    }
    return transform(images, augment.Draws(**draws), P, spec)


def test_brightness_adds():
    images = _images(3)
    found = _transform(images, augment.AugmentSpec(brightness=1, brightness_std=0.3), brightness=-1.5)
    np.testing.assert_allclose(found, images - 0.45, atol=1e-6)


def test_contrast_multiplies_by_powers_of_two():
    images = _images(3)
    found = _transform(images, augment.AugmentSpec(contrast=1), contrast=3.0)
    np.testing.assert_allclose(found, images * 2**1.5, rtol=1e-6)


def test_contrast_multiplies_what_brightness_has_added():
    images = _images(3)
    spec = augment.AugmentSpec(brightness=1, contrast=1)
    found = _transform(images, spec, brightness=1.0, contrast=2.0)
    np.testing.assert_allclose(found, (images + 0.2) * 2, atol=1e-6)


@pytest.mark.parametrize("value, flips", [(0.49, False), (0.5, True)])
def test_lumaflip_reverses_the_part_along_grey(value, flips):
    images = _images(3)
    found = _transform(images, augment.AugmentSpec(lumaflip=1), lumaflip=value)
    luma = (images @ GREY)[..., None] * GREY
    np.testing.assert_allclose(found, images - 2 * luma if flips else images, atol=1e-6)


def test_a_third_of_a_turn_of_hue_takes_red_to_green_and_green_to_blue():
    images = _images(3)
    found = _transform(images, augment.AugmentSpec(hue=1), hue=0.5 + 1 / 3)
    np.testing.assert_allclose(found, jnp.roll(images, 1, axis=3), atol=1e-6)


def test_hue_turns_by_at_most_hue_max():
    images = _images(3)
    found = _transform(images, augment.AugmentSpec(hue=1, hue_max=2 / 3), hue=0.0)
    np.testing.assert_allclose(found, jnp.roll(images, -1, axis=3), atol=1e-6)


def test_saturation_multiplies_the_distance_from_grey():
    images = _images(3)
    found = _transform(images, augment.AugmentSpec(saturation=1), saturation=2.0)
    mean = jnp.mean(images, axis=3, keepdims=True)
    np.testing.assert_allclose(found, mean + 4 * (images - mean), atol=1e-6)


def _augmented(images):
    spec = augment.preset("color")
    draws = augment.draw(jax.random.key(1), spec, len(images), images.shape[1:])
    return transform(images, draws, P, spec)


def test_alpha_is_left_alone_and_the_other_channels_change_as_without_it():
    for with_alpha, without in ((4, 3), (2, 1)):
        images = _images(with_alpha, batch=6)
        found = _augmented(images)
        np.testing.assert_array_equal(found[..., without:], images[..., without:])
        np.testing.assert_allclose(found[..., :without], _augmented(images[..., :without]), atol=1e-6)


def test_grey_changes_as_grey_pixels_of_rgb_do():
    images = _images(1, batch=6)
    found = _augmented(jnp.tile(images, (1, 1, 1, 3)))
    np.testing.assert_allclose(jnp.tile(_augmented(images), (1, 1, 1, 3)), found, atol=1e-5)


def test_five_channels_have_a_grey_axis_of_their_own_and_no_hue():
    images = _images(5)
    mean = jnp.mean(images, axis=3, keepdims=True)
    found = _transform(images, augment.AugmentSpec(saturation=1), saturation=1.0)
    np.testing.assert_allclose(found, mean + 2 * (images - mean), atol=1e-6)
    found = _transform(images, augment.AugmentSpec(lumaflip=1), lumaflip=0.9)
    np.testing.assert_allclose(found, images - 2 * mean, atol=1e-6)
    np.testing.assert_array_equal(_transform(images, augment.AugmentSpec(hue=1), hue=0.9), images)


@pytest.mark.parametrize("name", ["brightness", "contrast", "lumaflip", "hue", "saturation"])
def test_about_a_share_p_of_the_images_changes(name):
    spec = augment.AugmentSpec(**{name: 0.8})
    images = jnp.broadcast_to(jnp.array([0.9, -0.3, 0.2]), (1000, 1, 1, 3))
    draws = augment.draw(jax.random.key(0), spec, 1000, (1, 1, 3))
    changed = jnp.any(jnp.abs(transform(images, draws, jnp.asarray(0.5), spec) - images) > 1e-5, axis=(1, 2, 3))
    rate = 0.8 * 0.5 * (0.5 if name == "lumaflip" else 1)
    assert abs(float(jnp.mean(changed)) - rate) < 4 * np.sqrt(rate * (1 - rate) / 1000)


def test_without_colour_the_images_are_returned_untouched():
    images = _images(3)
    assert color.transform(images, augment.Draws(), P, augment.preset("bg")) is images
