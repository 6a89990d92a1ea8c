import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.metrics.interpolation import lerp, slerp


def _ends() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    return 3 * a, 0.1 * b


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_slerp_turns_by_its_share_of_the_angle_in_the_plane_of_both_ends(t):
    a, b = _ends()
    result = np.asarray(slerp(a, b, jnp.full((5, 1), t)), np.float64)
    for x, y, between in zip(a.astype(np.float64), b.astype(np.float64), result):
        x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
        angle = np.arccos(x @ y)
        expected = (np.sin((1 - t) * angle) * x + np.sin(t * angle) * y) / np.sin(angle)
        np.testing.assert_allclose(between, expected, atol=2e-6)


def test_slerp_results_have_length_one():
    result = slerp(*_ends(), np.linspace(0, 1, 5, dtype=np.float32)[:, None])
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, rtol=1e-6)


def test_lerp_is_the_weighted_mean_and_exact_at_the_beginning():
    a, b = _ends()
    np.testing.assert_allclose(lerp(a, b, 0.25), 0.75 * a + 0.25 * b, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(lerp(a, b, 0.0), a)


@pytest.mark.parametrize("function", [slerp, lerp])
def test_jit_equals_eager(function):
    a, b = _ends()
    t = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
    np.testing.assert_allclose(jax.jit(function)(a, b, t), function(a, b, t), rtol=1e-5, atol=1e-6)
