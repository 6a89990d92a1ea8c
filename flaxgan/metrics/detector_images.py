"""Conversion of generated images to the input of a feature detector."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words

# Detectors were trained on photographs of about this size; larger images are averaged down to it.
_DETECTOR_SIZE_PX = 256


def detector_images(images: jax.Array, *, crop: bool) -> jax.Array:
    """Crops, shrinks and scales generated images for a detector.

    Args:
      images: [N, H, W, C] in [-1, 1], C of 1 or 3.
      crop: whether to keep only the centre of a face: rows 3/8 to 7/8, columns 2/8 to 6/8.

    Returns:
      [N, H', W', 3] in [0, 255], not rounded. Images whose shorter side, before the crop, has at least 512 px are
      averaged down by the largest integer factor that leaves at least 256 px.

    Raises:
      FieldError: on another number of channels, or a size that the factor does not divide.
    """
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise FieldError("images", Words(f"shape {images.shape}"), "[N, H, W, 1], [N, H, W, 3]")
    height, width = images.shape[1:3]
    factor = max(min(height, width) // _DETECTOR_SIZE_PX, 1)
    if crop:
        images = images[:, height // 8 * 3 : height // 8 * 7, width // 8 * 2 : width // 8 * 6]
    images = (_average_pool(images, factor) + 1) * (255 / 2)
    return jnp.broadcast_to(images, (*images.shape[:3], 3))


def _average_pool(images: jax.Array, factor: int) -> jax.Array:
    count, height, width, channels = images.shape
    if height % factor or width % factor:
        found = Words(f"{height}x{width} px to average by {factor}")
        raise FieldError("images", found, f"multiples of {factor}")
    blocks = images.reshape(count, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4))
