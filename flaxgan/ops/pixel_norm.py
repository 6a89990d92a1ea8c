"""Pixel norm: normalization of the second moment, without parameters."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError


def normalize_2nd_moment(x: jax.Array, *, axis: int = -1, epsilon: float = 1e-8) -> jax.Array:
    """Computes x / sqrt(mean(x^2) + epsilon), which scales vectors to a mean square of 1.

    Args:
      x: float array.
      axis: axis along which the vectors lie.
      epsilon: added to the mean square.

    Returns:
      Array of x's shape and dtype; the mean is taken in float32, or in float64 if x is.

    Raises:
      FieldError: if x does not have this axis.

    References:
      Karras et al. 2018, section 4.2 (pixelwise feature vector normalization); the mapping network of Karras et al.
      2020b applies it to z and to the embedded label.
    """
    if not -x.ndim <= axis < x.ndim:
        raise FieldError("axis", axis, f"an axis of x {x.shape}")
    statistics = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    scale = jax.lax.rsqrt(jnp.mean(jnp.square(statistics), axis=axis, keepdims=True) + epsilon)
    return (statistics * scale).astype(x.dtype)
