"""Power iteration against NumPy and the exact singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.ops.spectral_norm import power_iteration, power_iterations, spectral_sigma


def _arrays(rows=5, columns=7):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, columns)), rng.normal(size=rows), rng.normal(size=(rows, columns))


def _slow(matrix, u, iterations, eps):
    for _ in range(iterations):
        v = matrix.T @ u / max(np.linalg.norm(matrix.T @ u), eps)
        u = matrix @ v / max(np.linalg.norm(matrix @ v), eps)
    return u, v


@pytest.mark.parametrize(("iterations", "eps", "scale"), [(1, 1e-12, 1.0), (3, 1e-12, 1.0), (2, 1e-3, 1e-4)])
def test_matches_the_definition(iterations, eps, scale):
    matrix, u, _ = _arrays()
    with jax.enable_x64(True):
        found = power_iteration(jnp.asarray(matrix * scale), jnp.asarray(u), iterations=iterations, eps=eps)
    for ours, expected in zip(found, _slow(matrix * scale, u, iterations, eps), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_many_iterations_reach_the_first_singular_values():
    matrix, _, _ = _arrays()
    step = lambda _, vectors: power_iterations(jnp.asarray(matrix, jnp.float32), vectors[0])
    start = jnp.eye(3, 5), jnp.zeros((3, 7))
    us, vs = program(lambda: jax.lax.fori_loop(0, 80, step, start))()
    sigmas = [spectral_sigma(jnp.asarray(matrix), u, v) for u, v in zip(us, vs, strict=True)]
    np.testing.assert_allclose(sigmas, np.linalg.svd(matrix)[1][:3], rtol=1e-4)
    np.testing.assert_allclose(us @ us.T, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(vs @ vs.T, np.eye(3), atol=1e-5)


def test_the_gradient_takes_the_vectors_as_constants():
    """That of sum(R W / sigma) is R / sigma - <R, W> / sigma^2 u v^T; and its own derivative is taken alike."""
    matrix, u0, cotangent = _arrays()
    direction = np.random.default_rng(1).normal(size=matrix.shape)

    def score(matrix):
        return jnp.sum(matrix / spectral_sigma(matrix, *power_iteration(matrix, u0)) * cotangent)

    with jax.enable_x64(True):
        gradient, second = program(lambda matrix: jax.jvp(jax.grad(score), (matrix,), (direction,)))(matrix)
    u, v = _slow(matrix, u0, 1, 1e-12)

    def expected(matrix):
        sigma = u @ matrix @ v
        return cotangent / sigma - np.sum(cotangent * matrix) / sigma**2 * np.outer(u, v)

    np.testing.assert_allclose(gradient, expected(matrix), rtol=1e-10)
    step = 1e-5 * direction
    np.testing.assert_allclose(second, (expected(matrix + step) - expected(matrix - step)) / 2e-5, rtol=1e-6, atol=1e-8)


def test_low_precision_is_computed_in_float32():
    matrix, u, _ = _arrays()
    u, v = power_iteration(jnp.asarray(matrix, jnp.bfloat16), jnp.asarray(u, jnp.bfloat16))
    assert u.dtype == v.dtype == spectral_sigma(jnp.asarray(matrix, jnp.bfloat16), u, v).dtype == jnp.float32
    np.testing.assert_allclose([jnp.linalg.norm(u), jnp.linalg.norm(v)], 1, rtol=1e-6)


def test_a_zero_matrix_gives_zeros():
    u, v = power_iteration(jnp.zeros((2, 3)), jnp.ones(2))
    assert not np.any(u) and not np.any(v)


@pytest.mark.parametrize(
    ("matrix", "u", "iterations", "field"),
    [
        ((2, 3, 4), (2,), 1, "matrix"),
        ((2, 3), (3,), 1, "u"),
        ((2, 3), (1, 2), 1, "u"),
        ((2, 3), (2,), 0, "iterations"),
    ],
)
def test_wrong_arguments(matrix, u, iterations, field):
    with pytest.raises(ValueError, match=f"^{field}: found"):
        power_iteration(jnp.ones(matrix), jnp.ones(u), iterations=iterations)


def test_more_vectors_than_the_matrix_has():
    with pytest.raises(ValueError, match="^us: found"):
        power_iterations(jnp.ones((2, 3)), jnp.ones((3, 2)))
