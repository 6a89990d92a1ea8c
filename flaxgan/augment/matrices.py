"""Homogeneous transforms of the plane and of colour space, one for each image."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp


def product(matrices: Sequence[jax.Array]) -> jax.Array:
    """Computes the product [N, d, d] of matrices [N, d, d], leftmost first, in full precision on every device."""
    return functools.reduce(lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST), matrices)


def translation2d(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the matrices [N, 3, 3] that move points by (x, y), each [N]."""
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return _rows([[one, zero, x], [zero, one, y], [zero, zero, one]])


def scaling2d(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the matrices [N, 3, 3] that scale points by (x, y), each [N]."""
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return _rows([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def rotation2d(angle: jax.Array) -> jax.Array:
    """Returns the matrices [N, 3, 3] that rotate points by an angle [N] in radians, from the x to the y axis."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    zero, one = jnp.zeros_like(angle), jnp.ones_like(angle)
    return _rows([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def homogeneous(linear: jax.Array, offset: jax.Array) -> jax.Array:
    """Returns the matrices [N, d + 1, d + 1] of v -> linear @ v + offset, for [N, d, d] and [N, d]."""
    upper = jnp.concatenate([linear, offset[:, :, None]], axis=2)
    last = jnp.zeros_like(upper[:, :1]).at[:, :, -1].set(1)
    return jnp.concatenate([upper, last], axis=1)


def _rows(rows: list[list[jax.Array]]) -> jax.Array:
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
