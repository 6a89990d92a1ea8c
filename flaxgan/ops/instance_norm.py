"""Instance normalization, plain and adaptive (gain and offset from a style)."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def instance_norm(x: jax.Array, *, epsilon: float = 1e-8) -> jax.Array:
    """Computes (x - mean) / sqrt(var + epsilon), with statistics of each channel over the pixels of each sample.

    Args:
      x: float [N, H, W, C].
      epsilon: added to the (population) variance.

    Returns:
      Array of x's shape and dtype; computed in float32, or in float64 if x is.

    Raises:
      FieldError: if x is not [N, H, W, C].

    References:
      Ulyanov et al. 2016, "Instance Normalization"; the epsilon is that of the official StyleGAN code.
    """
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    return _standardized(x, epsilon).astype(x.dtype)


def adaptive_instance_norm(x: jax.Array, style: jax.Array, *, epsilon: float = 1e-8) -> jax.Array:
    """Computes (y_s + 1) * instance_norm(x) + y_b.

    Args:
      x: float [N, H, W, C].
      style: [N, 2C]: the gains y_s of all channels, then the offsets y_b.
      epsilon: see `instance_norm`.

    Returns:
      Array of x's shape and dtype; computed in float32, or in float64 if x or the style is.

    Raises:
      FieldError: if x is not [N, H, W, C], or the style has another shape.

    References:
      Karras et al. 2019 (StyleGAN), equation 1; the gain y_s + 1, in place of y_s, is that of the official code.
    """
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    batch, _, _, channels = x.shape
    if style.shape != (batch, 2 * channels):
        raise FieldError("style", Words(f"shape {style.shape}"), f"[{batch}, 2 * {channels}]")
    gain, offset = jnp.split(style[:, None, None, :], 2, axis=3)  # each [N, 1, 1, C]
    return (_standardized(x, epsilon) * (gain + 1) + offset).astype(x.dtype)


def _standardized(x: jax.Array, epsilon: float) -> jax.Array:
    values = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centered = values - jnp.mean(values, axis=(1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=(1, 2), keepdims=True)
    return centered * jax.lax.rsqrt(variance + epsilon)
