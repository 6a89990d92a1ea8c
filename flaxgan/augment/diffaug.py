"""Differentiable augmentation by colour, translation and cutout, as pure functions of random draws.

Reals and fakes get the same kinds of augmentation, with independent draws.

References:
  Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", and its official code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError

POLICIES = ("color", "translation", "cutout")
TRANSLATION = 1 / 8
"""Largest shift, as a fraction of the side."""
CUTOUT = 1 / 2
"""Side of the hole, as a fraction of the side of the image."""


class Draws(NamedTuple):
    """The random numbers of a batch.

    Attributes:
      brightness: uniform in [0, 1), [N].
      saturation: uniform in [0, 1), [N].
      contrast: uniform in [0, 1), [N].
      translation: rows and columns to shift by, int32 [N, 2], uniform in `translation_range`.
      cutout: row and column of the hole's centre, int32 [N, 2], uniform in `cutout_range`.
    """

    brightness: jax.Array
    saturation: jax.Array
    contrast: jax.Array
    translation: jax.Array
    cutout: jax.Array


def draw(key: jax.Array, image_shape: tuple[int, ...]) -> Draws:
    """Draws the random numbers for images of shape [N, H, W, C]."""
    num_images, *sides = image_shape[:3]
    keys = jax.random.split(key, 5)
    uniform = [jax.random.uniform(key, (num_images,)) for key in keys[:3]]
    return Draws(
        *uniform,
        *(
            _integers(key, num_images, [range_of(side) for side in sides])
            for key, range_of in zip(keys[3:], (translation_range, cutout_range), strict=True)
        ),
    )


def augment(images: jax.Array, draws: Draws, *, policies: tuple[str, ...] = POLICIES) -> jax.Array:
    """Applies the policies in the order of POLICIES. "color" adjusts brightness, then saturation, then contrast.

    Args:
      images: float [N, H, W, C] in [-1, 1]. The result may exceed this range.
      draws: the result of `draw`.
      policies: a subset of POLICIES.

    Raises:
      FieldError: if a policy is unknown.
    """
    unknown = [policy for policy in policies if policy not in POLICIES]
    if unknown:
        raise FieldError("policies", unknown[0], ", ".join(POLICIES))
    if "color" in policies:
        images = adjust_saturation(adjust_brightness(images, draws.brightness), draws.saturation)
        images = adjust_contrast(images, draws.contrast)
    if "translation" in policies:
        images = translate(images, draws.translation)
    return cut_out(images, draws.cutout) if "cutout" in policies else images


def adjust_brightness(images: jax.Array, u: jax.Array) -> jax.Array:
    """Computes x + (u - 1/2) with u [N] for images x [N, H, W, C]."""
    return images + (_per_image(u, images) - 0.5)


def adjust_saturation(images: jax.Array, u: jax.Array) -> jax.Array:
    """Computes (x - m) 2u + m with u [N], where m is the mean of each pixel over its channels."""
    return _scale_around(jnp.mean(images, axis=3, keepdims=True), images, 2 * _per_image(u, images))


def adjust_contrast(images: jax.Array, u: jax.Array) -> jax.Array:
    """Computes (x - m) (u + 1/2) + m with u [N], where m is the mean of the whole image."""
    return _scale_around(jnp.mean(images, axis=(1, 2, 3), keepdims=True), images, _per_image(u, images) + 0.5)


def translate(images: jax.Array, shifts: jax.Array) -> jax.Array:
    """Shifts images: pixel (i, j) of the result is pixel (i + rows, j + columns), or 0 if that lies outside.

    Args:
      images: [N, H, W, C].
      shifts: rows and columns, int [N, 2].
    """
    for axis in (1, 2):
        size = images.shape[axis]
        source = jnp.arange(size) + shifts[:, axis - 1 : axis]  # [N, size]
        inside = _along(axis, (source >= 0) & (source < size))
        source = _along(axis, jnp.clip(source, 0, size - 1))
        images = jnp.where(inside, jnp.take_along_axis(images, source, axis=axis), 0)
    return images


def cut_out(images: jax.Array, centers: jax.Array) -> jax.Array:
    """Sets a rectangle of half the height and width to 0.

    Its rows start at center - size // 2; rows and columns outside the image fall on its border.

    Args:
      images: [N, H, W, C].
      centers: row and column, int [N, 2].
    """
    holes = []
    for axis in (1, 2):
        size = images.shape[axis]
        first = centers[:, axis - 1 : axis] - _cutout_px(size) // 2  # [N, 1]
        last = jnp.clip(first + _cutout_px(size) - 1, 0, size - 1)
        pixels = jnp.arange(size)
        holes.append(_along(axis, (pixels >= jnp.clip(first, 0, size - 1)) & (pixels <= last)))
    return jnp.where(holes[0] & holes[1], 0, images)


def translation_range(size: int) -> tuple[int, int]:
    """Returns the range [low, high) of the shift along a side of `size` pixels."""
    largest = int(size * TRANSLATION + 0.5)
    return -largest, largest + 1


def cutout_range(size: int) -> tuple[int, int]:
    """Returns the range [low, high) of the hole's centre along a side of `size` pixels."""
    return 0, size + 1 - _cutout_px(size) % 2


def _cutout_px(size: int) -> int:
    return int(size * CUTOUT + 0.5)


def _integers(key: jax.Array, num_images: int, ranges: list[tuple[int, int]]) -> jax.Array:
    low, high = zip(*ranges, strict=True)
    return jax.random.randint(key, (num_images, len(ranges)), jnp.asarray(low), jnp.asarray(high))


def _per_image(u: jax.Array, images: jax.Array) -> jax.Array:
    return u.astype(images.dtype)[:, None, None, None]


def _scale_around(mean: jax.Array, images: jax.Array, factor: jax.Array) -> jax.Array:
    return (images - mean) * factor + mean


def _along(axis: int, values: jax.Array) -> jax.Array:
    """Reshapes [N, size] to broadcast along the rows (axis 1) or columns (axis 2) of images."""
    return values[:, :, None, None] if axis == 1 else values[:, None, :, None]
