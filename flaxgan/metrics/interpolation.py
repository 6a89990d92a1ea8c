"""Interpolation between latents."""

import jax
import jax.numpy as jnp


def slerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Interpolates spherically between the directions of a and b.

    Args:
      a: [..., Z], not zero.
      b: [..., Z], neither zero nor parallel to a.
      t: position, 0 at a and 1 at b, broadcastable against [..., 1].

    Returns:
      Unit vectors [..., Z].
    """
    a, b = _unit(a), _unit(b)
    cosine = jnp.sum(a * b, axis=-1, keepdims=True)
    angle = t * jnp.arccos(cosine)
    across = _unit(b - cosine * a)
    return _unit(a * jnp.cos(angle) + across * jnp.sin(angle))


def lerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Interpolates linearly between a (t = 0) and b (t = 1)."""
    return a + (b - a) * t


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)
