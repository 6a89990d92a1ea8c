"""The largest singular values of a weight by power iteration, for spectral normalization.

A weight is a matrix M [R, S]: a row for each output, a column for each number that goes into it.
"""

import jax
import jax.numpy as jnp

_HIGHEST = jax.lax.Precision.HIGHEST


def power_iteration(
    matrix: jax.Array, u: jax.Array, *, iterations: int = 1, eps: float = 1e-12
) -> tuple[jax.Array, jax.Array]:
    """Moves u towards the first left singular vector: v = unit(M^T u), u = unit(M v), some times.

    Neither result carries a gradient: to `spectral_sigma` they are constants.

    Args:
      matrix: M, float [R, S].
      u: [R], of any length above 0.
      iterations: how often, at least 1.
      eps: least length that a vector is divided by.

    Returns:
      (u [R], v [S]) in the promoted type of the arguments, at least float32; their lengths are 1, or less where a
      product was shorter than eps.

    Raises:
      ValueError: on wrong shapes or counts.

    Reference: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1.
    """
    if u.shape != matrix.shape[:1]:
        raise ValueError(f"u: found shape {u.shape}, allowed: {matrix.shape[:1]}")
    us, vs = power_iterations(matrix, u[None], iterations=iterations, eps=eps)
    return us[0], vs[0]


def power_iterations(
    matrix: jax.Array, us: jax.Array, *, iterations: int = 1, eps: float = 1e-12
) -> tuple[jax.Array, jax.Array]:
    """`power_iteration` of the first B singular vectors at once: each is kept orthogonal to those before it.

    Args:
      matrix: M, float [R, S].
      us: [B, R], B at most R and S.
      iterations: how often, at least 1.
      eps: least length that a vector is divided by.

    Returns:
      (us [B, R], vs [B, S]), as in `power_iteration`.

    Raises:
      ValueError: on wrong shapes or counts.

    Reference: Brock et al. 2019 (BigGAN), section 4.1, watch the first three singular values of each weight.
    """
    if matrix.ndim != 2:
        raise ValueError(f"matrix: found shape {matrix.shape}, allowed: [R, S]")
    if us.ndim != 2 or us.shape[1] != matrix.shape[0] or not 1 <= us.shape[0] <= min(matrix.shape):
        raise ValueError(f"us: found shape {us.shape}, allowed: [B, {matrix.shape[0]}], B in [1, {min(matrix.shape)}]")
    if iterations < 1:
        raise ValueError(f"iterations: found {iterations}, allowed: at least 1")
    dtype = jnp.promote_types(jnp.promote_types(matrix.dtype, us.dtype), jnp.float32)
    matrix, us = (jax.lax.stop_gradient(array).astype(dtype) for array in (matrix, us))
    left, right = list(us), []
    for _ in range(iterations):
        left, previous, right = [], left, []
        for u in previous:
            right.append(_unit(_orthogonal(jnp.matmul(u, matrix, precision=_HIGHEST), right), eps))
            left.append(_unit(_orthogonal(jnp.matmul(matrix, right[-1], precision=_HIGHEST), left), eps))
    return jax.lax.stop_gradient((jnp.stack(left), jnp.stack(right)))


def spectral_sigma(matrix: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """u^T M v: the singular value of M whose vectors u and v are, and with them constant, differentiable in M.

    Args:
      matrix: M, float [R, S].
      u: [R].
      v: [S].

    Returns:
      Scalar in the promoted type, at least float32.

    Reference: Miyato et al. 2018, equation 19; its gradient u v^T is equation 11.
    """
    u, v = jax.lax.stop_gradient((u, v))
    matrix = matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))
    return jnp.vdot(u, jnp.matmul(matrix, v, precision=_HIGHEST), precision=_HIGHEST)


def _unit(x: jax.Array, eps: float) -> jax.Array:
    """x / max(|x|, eps)."""
    return x / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(x))), eps)


def _orthogonal(x: jax.Array, others: list[jax.Array]) -> jax.Array:
    """x less its parts along the others, one after the other."""
    for other in others:
        scale = jnp.vdot(x, other, precision=_HIGHEST) / jnp.vdot(other, other, precision=_HIGHEST)
        x = x - scale * other
    return x
