"""Conversion of images between uint8 [0, 255] and float [-1, 1]; no other module does it."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def to_float(images: jax.Array) -> jax.Array:
    """Converts uint8 images to float32 in [-1, 1]: u / 127.5 - 1.

    Args:
      images: uint8, any shape.

    Returns:
      The images as float32 in [-1, 1], of the same shape.

    Raises:
      FieldError: if the images are not uint8.
    """
    if images.dtype != jnp.uint8:
        raise FieldError("images", Words(images.dtype), "uint8")
    return jnp.asarray(images).astype(jnp.float32) / 127.5 - 1


def dequantize(images: jax.Array, uniform: jax.Array) -> jax.Array:
    """Converts uint8 images to float32 in [-1, 1) with noise within each of the 256 levels: (u + uniform) / 128 - 1.

    The scale is 128, where that of `to_float` is 127.5: each level has an interval of 1/128, and its mean is the centre
    of that interval. `to_uint8` of the centre is the level again.

    Args:
      images: uint8, any shape.
      uniform: numbers in [0, 1) of the same shape.

    Returns:
      The images as float32 in [-1, 1), of the same shape.

    Raises:
      FieldError: if the images are not uint8, or the numbers have another shape.

    References:
      the official code of Miyato et al. 2018 (SNGAN): u / 128 - 1 + U(0, 1/128).
    """
    if images.dtype != jnp.uint8:
        raise FieldError("images", Words(images.dtype), "uint8")
    if uniform.shape != images.shape:
        raise FieldError("uniform", Words(f"shape {uniform.shape}"), str(images.shape))
    return (jnp.asarray(images).astype(jnp.float32) + uniform) / 128 - 1


def flip_where(images: jax.Array, flip: jax.Array) -> jax.Array:
    """Flips selected images of a batch from left to right.

    Args:
      images: [N, H, W, C], any dtype.
      flip: bool [N]; True flips the image.

    Returns:
      The images, reversed along W where `flip` is True.

    Raises:
      FieldError: if `images` is not of rank 4, or `flip` is not bool [N].
    """
    if images.ndim != 4:
        raise FieldError("images", Words(f"shape {images.shape}"), "[N, H, W, C]")
    if flip.dtype != jnp.bool_ or flip.shape != images.shape[:1]:
        raise FieldError("flip", Words(f"{flip.dtype} {list(flip.shape)}"), f"bool {[images.shape[0]]}")
    return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)


def to_uint8(images: jax.Array) -> jax.Array:
    """Converts generated images for metrics and image files: trunc(clip(127.5 * x + 128, 0, 255)).

    Args:
      images: float in [-1, 1], any shape; values outside are clipped. Half precision is converted to float32 first.

    Returns:
      The images as uint8, of the same shape.

    Raises:
      FieldError: if the images are not floats.

    References:
      Metrics and generate.py of the official StyleGAN2-ADA code.
    """
    return jnp.clip(_at_least_float32(images) * 127.5 + 128, 0, 255).astype(jnp.uint8)


def to_uint8_rounded(images: jax.Array) -> jax.Array:
    """Converts images for the grids of training snapshots: rint(127.5 * (x + 1)), clipped; the inverse of `to_float`.

    Args:
      images: float in [-1, 1], any shape; values outside are clipped. Half precision is converted to float32 first.

    Returns:
      The images as uint8, of the same shape.

    Raises:
      FieldError: if the images are not floats.

    References:
      save_image_grid of the official StyleGAN2-ADA code.
    """
    return jnp.clip(jnp.rint((_at_least_float32(images) + 1) * 127.5), 0, 255).astype(jnp.uint8)


def _at_least_float32(images: jax.Array) -> jax.Array:
    images = jnp.asarray(images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise FieldError("images", Words(images.dtype), "a float type")
    return images.astype(jnp.promote_types(images.dtype, jnp.float32))
