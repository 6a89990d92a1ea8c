"""Power iteration for the largest singular values of a weight, for spectral normalization.

A weight is a matrix M [R, S] with a row for each output and a column for each input of that output.
"""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words

_HIGHEST = jax.lax.Precision.HIGHEST


def power_iteration(
    matrix: jax.Array, u: jax.Array, *, iterations: int = 1, eps: float = 1e-12
) -> tuple[jax.Array, jax.Array]:
    """Moves u towards the first left singular vector by iterating v = unit(M^T u), u = unit(M v).

    Neither result carries a gradient: `spectral_sigma` treats both as constants.

    Args:
      matrix: M, float [R, S].
      u: [R], of any length above 0.
      iterations: number of iterations, at least 1.
      eps: least length by which a vector is divided.

    Returns:
      (u [R], v [S]) in the promoted type of the arguments, at least float32; their lengths are 1, or less where a
      product was shorter than eps.

    Raises:
      FieldError: on wrong shapes or counts.

    References:
      Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1.
    """
    if u.shape != matrix.shape[:1]:
        raise FieldError("u", Words(f"shape {u.shape}"), str(matrix.shape[:1]))
    us, vs = power_iterations(matrix, u[None], iterations=iterations, eps=eps)
    return us[0], vs[0]


def power_iterations(
    matrix: jax.Array, us: jax.Array, *, iterations: int = 1, eps: float = 1e-12
) -> tuple[jax.Array, jax.Array]:
    """Iterates as `power_iteration` for the first B singular vectors, each kept orthogonal to those before it.

    Args:
      matrix: M, float [R, S].
      us: [B, R], B at most R and S.
      iterations: number of iterations, at least 1.
      eps: least length by which a vector is divided.

    Returns:
      (us [B, R], vs [B, S]), as in `power_iteration`.

    Raises:
      FieldError: on wrong shapes or counts.

    References:
      Brock et al. 2019 (BigGAN), section 4.1, which monitors the first three singular values of each weight.
    """
    if matrix.ndim != 2:
        raise FieldError("matrix", Words(f"shape {matrix.shape}"), "[R, S]")
    if us.ndim != 2 or us.shape[1] != matrix.shape[0] or not 1 <= us.shape[0] <= min(matrix.shape):
        raise FieldError("us", Words(f"shape {us.shape}"), f"[B, {matrix.shape[0]}], B in [1, {min(matrix.shape)}]")
    if iterations < 1:
        raise FieldError("iterations", iterations, "at least 1")
    dtype = jnp.promote_types(jnp.promote_types(matrix.dtype, us.dtype), jnp.float32)
    matrix, us = (jax.lax.stop_gradient(array).astype(dtype) for array in (matrix, us))
    left: list[jax.Array] = list(us)
    right: list[jax.Array] = []
    for _ in range(iterations):
        left, previous, right = [], left, []
        for u in previous:
            right.append(_unit(_orthogonal(jnp.matmul(u, matrix, precision=_HIGHEST), right), eps))
            left.append(_unit(_orthogonal(jnp.matmul(matrix, right[-1], precision=_HIGHEST), left), eps))
    return jax.lax.stop_gradient((jnp.stack(left), jnp.stack(right)))


def spectral_sigma(matrix: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """Computes u^T M v, the singular value of M to the singular vectors u and v, differentiable in M alone.

    Args:
      matrix: M, float [R, S].
      u: [R].
      v: [S].

    Returns:
      Scalar in the promoted type, at least float32.

    References:
      Miyato et al. 2018, equation 19; its gradient u v^T is equation 11.
    """
    u, v = jax.lax.stop_gradient((u, v))
    matrix = matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))
    return jnp.vdot(u, jnp.matmul(matrix, v, precision=_HIGHEST), precision=_HIGHEST)


def _unit(x: jax.Array, eps: float) -> jax.Array:
    """Computes x / max(|x|, eps)."""
    return x / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(x))), eps)


def _orthogonal(x: jax.Array, others: list[jax.Array]) -> jax.Array:
    """Subtracts from x its components along the others, one after another (Gram-Schmidt)."""
    for other in others:
        scale = jnp.vdot(x, other, precision=_HIGHEST) / jnp.vdot(other, other, precision=_HIGHEST)
        x = x - scale * other
    return x
