"""Normalization without parameters."""

import jax
import jax.numpy as jnp


def normalize_2nd_moment(x: jax.Array, *, axis: int = -1, epsilon: float = 1e-8) -> jax.Array:
    """x / sqrt(mean(x^2) + epsilon): scales vectors to a mean square of 1.

    Args:
      x: float array.
      axis: the axis that holds a vector.
      epsilon: added to the mean square.

    Returns:
      Array of x's shape and dtype; the mean is taken in float32, or in float64 if x is.

    Raises:
      ValueError: if x has no such axis.

    Reference: Karras et al. 2018, section 4.2 (pixelwise feature vector normalization); applied to z and to the
      embedded label by the mapping network of Karras et al. 2020b.
    """
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis: found {axis}, allowed: an axis of x {x.shape}")
    statistics = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    scale = jax.lax.rsqrt(jnp.mean(jnp.square(statistics), axis=axis, keepdims=True) + epsilon)
    return (statistics * scale).astype(x.dtype)
