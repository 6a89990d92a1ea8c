import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import augment
from flaxgan.augment import geometry

ALWAYS = -1.0
P = jnp.ones(())
SPOT_PX = 1.2  # Standard deviation.


def _images(shape=(2, 9, 12, 1), seed=0):
    """Smooth images: the lowpass filter is not quite symmetric, so that mirrored and turned ones are off by 0.1 px."""
    numbers, height, width, channels = shape
    coarse = np.random.default_rng(seed).normal(size=(numbers, 3, 3, channels))
    return jax.image.resize(jnp.asarray(coarse, jnp.float32), shape, "cubic")


def _transform(images, spec, **values):
    """With the given value for each of the named draws, for all images."""
    batch = len(images)
    draws = {
        name: augment.Draw(jnp.full((batch,), ALWAYS), jnp.broadcast_to(jnp.asarray(value), (batch, *np.shape(value))))
        for name, value in values.items()
    }
    return geometry.transform(images, augment.Draws(**draws), P, spec)


def _spot(x, y, shape=(24, 32)):
    """An image [1, H, W, 1] of a spot at (x, y) from the centre."""
    v, u = np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in shape), indexing="ij")
    return jnp.asarray(np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * SPOT_PX**2)), jnp.float32)[None, ..., None]


def _assert_spot(image, x, y, *, mass=1.0):
    """Checks centre and mass (that of an untouched spot is 1) of what is around (x, y), apart from its reflections."""
    values = np.asarray(image[0, :, :, 0], np.float64)
    v, u = np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in values.shape), indexing="ij")
    values = values * (np.hypot(u - x, v - y) < 7)
    found = np.array([(values * u).sum(), (values * v).sum()]) / values.sum()
    np.testing.assert_allclose(found, [x, y], atol=0.15)
    np.testing.assert_allclose(values.sum() / (2 * np.pi * SPOT_PX**2), mass, rtol=0.05)


@pytest.mark.parametrize("value, flips", [(0.49, False), (0.5, True)])
def test_xflip_mirrors(value, flips):
    images = _images()
    found = _transform(images, augment.AugmentSpec(xflip=1), xflip=value)
    np.testing.assert_allclose(found, images[:, :, ::-1] if flips else images, atol=0.1)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotate90_turns_square_images(turns):
    images = _images((2, 8, 8, 1))
    found = _transform(images, augment.AugmentSpec(rotate90=1), rotate90=turns / 4 + 0.1)
    np.testing.assert_allclose(found, np.rot90(images, turns, axes=(1, 2)), atol=0.1)


def test_rotate90_of_a_wide_image_shows_its_reflection():
    """Turned, the image is 9 wide and 12 high: rows fall off, and 3 columns come from reflections."""
    images = _images((1, 9, 13, 1))
    found = _transform(images, augment.AugmentSpec(rotate90=1), rotate90=0.3)
    extended = np.pad(images, ((0, 0), (2, 2), (0, 0), (0, 0)), mode="reflect")
    np.testing.assert_allclose(found, np.rot90(extended[:, :, 2:-2], axes=(1, 2)), atol=0.1)


def test_xint_moves_by_whole_pixels_of_each_axis_and_fills_by_reflection():
    """(2u - 1) * 0.25 * (12, 9), rounded: u = (1, 0.2) is 3 pixels to the right and 1 up."""
    images = _images()
    found = _transform(images, augment.AugmentSpec(xint=1, xint_max=0.25), xint=(1.0, 0.2))
    extended = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    np.testing.assert_allclose(found, extended[:, 4:13, :12], atol=1e-5)


def test_scale_enlarges_by_powers_of_two():
    found = _transform(_spot(2, -1), augment.AugmentSpec(scale=1, scale_std=0.5), scale=2.0)
    _assert_spot(found, 4, -2, mass=4)


def test_aniso_stretches_one_axis_and_shrinks_the_other():
    found = _transform(_spot(2, 3), augment.AugmentSpec(aniso=1, aniso_std=0.5), aniso=2.0)
    _assert_spot(found, 4, 1.5)


def test_rotate_turns_counterclockwise_before_and_after_aniso():
    spec = augment.AugmentSpec(rotate=1, rotate_max=0.5, aniso=1, aniso_std=1)
    quarter, none = 1.0, 0.5
    _assert_spot(_transform(_spot(5, 0), spec, rotate_pre=quarter, aniso=0.0, rotate_post=none), 0, -5)
    _assert_spot(_transform(_spot(5, 0), spec, rotate_pre=quarter, aniso=0.0, rotate_post=1 - quarter), 5, 0)
    _assert_spot(_transform(_spot(2, 0), spec, rotate_pre=none, aniso=1.0, rotate_post=quarter), 0, -4)
    _assert_spot(_transform(_spot(2, 0), spec, rotate_pre=quarter, aniso=1.0, rotate_post=none), 0, -1)


def test_xfrac_moves_by_shares_of_each_axis():
    found = _transform(_spot(0, 0), augment.AugmentSpec(xfrac=1), xfrac=(1.5, -1.0))
    _assert_spot(found, 1.5 * 0.125 * 32, -0.125 * 24)


@pytest.mark.parametrize(
    "name, ranges, rate",
    [
        ("xflip", {}, 0.25),  # Applied to half of the images, and half of those are flipped.
        ("rotate90", {}, 0.375),
        ("xint", {"xint_max": 1}, 0.5 * (1 - 1 / 64)),  # A move by less than half a pixel in x and y is none.
        ("scale", {}, 0.5),
        ("rotate", {}, 0.5),
        ("aniso", {}, 0.5),
        ("xfrac", {}, 0.5),
    ],
)
def test_about_a_share_p_of_the_images_changes(name, ranges, rate):
    """Within 4 standard deviations; a change of less than 1e-3 counts as none."""
    spec = augment.AugmentSpec(**{name: 1}, **ranges)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(600, 4, 4, 1)), jnp.float32)
    draws = augment.draw(jax.random.key(3), spec, 600, (4, 4, 1))
    changed = np.abs(geometry.transform(images, draws, jnp.asarray(0.5), spec) - images).max(axis=(1, 2, 3)) > 1e-3
    assert abs(changed.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 600)


@pytest.mark.parametrize(
    "spec",
    [
        augment.preset("blit"),
        augment.AugmentSpec(xint=1, xint_max=0.3),
        augment.AugmentSpec(rotate=1, xint=1, rotate90=1),
    ],
)
def test_the_smaller_margin_of_bounded_maps_is_enough(spec, monkeypatch):
    images = _images((20, 32, 48, 1))
    draws = augment.draw(jax.random.key(0), spec, 20, (32, 48, 1))
    assert geometry.largest_margin_px(spec, (48, 32)) < (47, 31)
    found = geometry.transform(images, draws, P, spec)
    monkeypatch.setattr(geometry, "largest_margin_px", lambda spec, size: (size[0] - 1, size[1] - 1))
    np.testing.assert_allclose(found, geometry.transform(images, draws, P, spec), atol=2e-5)


@pytest.mark.parametrize("name", ["scale", "aniso", "xfrac"])
def test_unbounded_maps_have_the_largest_margin(name):
    assert geometry.largest_margin_px(augment.AugmentSpec(**{name: 1}), (48, 32)) == (47, 31)


def test_without_geometry_the_images_are_returned_untouched():
    images = _images()
    assert geometry.transform(images, augment.Draws(), P, augment.preset("color")) is images
