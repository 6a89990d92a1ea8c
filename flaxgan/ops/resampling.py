"""Box filters that resample images, and the blend of two resolutions while a network grows.

References:
  Karras et al. 2018 (PGGAN), section 2 and figure 2.
"""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def box_downsample(images: jax.Array, factor: int = 2) -> jax.Array:
    """Shrinks images by averaging blocks of factor x factor pixels.

    Args:
      images: float [N, H, W, C].
      factor: at least 1; divides H and W.

    Returns:
      [N, H / factor, W / factor, C] in the images' dtype; the means are float32, or float64 if the images are.

    Raises:
      FieldError: if the images are not [N, H, W, C], or the factor does not divide H and W.
    """
    _require_images(images)
    batch, height, width, channels = images.shape
    if factor < 1 or height % factor or width % factor:
        raise FieldError("factor", factor, f"a divisor of both sides of images {images.shape}")
    if factor == 1:
        return images
    blocks = images.reshape(batch, height // factor, factor, width // factor, factor, channels)
    means = jnp.mean(blocks.astype(jnp.promote_types(images.dtype, jnp.float32)), axis=(2, 4))
    return means.astype(images.dtype)


def nearest_upsample(images: jax.Array, factor: int = 2) -> jax.Array:
    """Enlarges images by repeating each pixel in a block of factor x factor pixels.

    Args:
      images: [N, H, W, C].
      factor: at least 1.

    Returns:
      [N, H * factor, W * factor, C] in the images' dtype.

    Raises:
      FieldError: if the images are not [N, H, W, C], or the factor is below 1.
    """
    _require_images(images)
    if factor < 1:
        raise FieldError("factor", factor, "at least 1")
    if factor == 1:
        return images
    batch, height, width, channels = images.shape
    blocks = jnp.broadcast_to(images[:, :, None, :, None, :], (batch, height, factor, width, factor, channels))
    return blocks.reshape(batch, height * factor, width * factor, channels)


def blend(old: jax.Array, new: jax.Array, alpha: float | jax.Array) -> jax.Array:
    """Computes old + alpha (new - old), which fades in a new block.

    Args:
      old: float array, the output of the path without the new block.
      new: array of the same shape and dtype, the output of the path through it.
      alpha: weight of the new block, a scalar in [0, 1]; may be traced.

    Returns:
      Array of the same shape and dtype.

    Raises:
      FieldError: if the two differ in shape.
    """
    if old.shape != new.shape:
        raise FieldError("new", Words(f"shape {new.shape}"), f"that of old, {old.shape}")
    return old + jnp.asarray(alpha, old.dtype) * (new - old)


def fade_reals(images: jax.Array, alpha: float | jax.Array) -> jax.Array:
    """Blends real images with their half-size version, as a generator does that fades in its last resolution.

    Computes alpha x + (1 - alpha) nearest_upsample(box_downsample(x)), so that reals and fakes are equally sharp.

    Args:
      images: float [N, H, W, C] at the size of the stage; H and W even.
      alpha: weight of the newest resolution, a scalar in [0, 1]; may be traced.

    Returns:
      Array of the images' shape and dtype.

    Raises:
      FieldError: if the images are not [N, H, W, C], or a side is odd.

    References:
      `process_reals` of the official PGGAN code, at lod = integer + (1 - alpha).
    """
    return blend(nearest_upsample(box_downsample(images, 2), 2), images, alpha)


def _require_images(images: jax.Array) -> None:
    if images.ndim != 4:
        raise FieldError("images", Words(f"shape {images.shape}"), "[N, H, W, C]")
