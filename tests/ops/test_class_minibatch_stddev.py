"""Minibatch standard deviation by class against the definition, one image at a time."""

import jax
import numpy as np
import pytest

from flaxgan.ops.minibatch_stddev import class_minibatch_stddev

LABELS = np.array([0, 2, 0, 1, 0, 2])
CLASSES = np.eye(3)[LABELS]


def by_definition(x: np.ndarray, num_channels: int) -> np.ndarray:
    """[N, F]: for each image, the mean over a channel block and all pixels of the deviation in its class."""
    rows = []
    for label in LABELS:
        deviation = np.sqrt(x[label == LABELS].var(axis=0) + 1e-8)
        rows.append([block.mean() for block in np.split(deviation, num_channels, axis=-1)])
    return np.array(rows)


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(3.0, 1.0, (6, 2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize("num_channels", [1, 2, 4])
def test_matches_the_definition_under_jit(num_channels):
    x = images()
    y = jax.jit(lambda x: class_minibatch_stddev(x, CLASSES, num_channels=num_channels))(x)
    assert y.shape == (6, 2, 3, 4 + num_channels)
    np.testing.assert_array_equal(y[..., :4], x)
    expected = np.broadcast_to(by_definition(x.astype(np.float64), num_channels)[:, None, None], y[..., 4:].shape)
    np.testing.assert_allclose(y[..., 4:], expected, rtol=1e-5, atol=2e-4)


def test_second_derivatives_are_finite_where_a_class_has_one_image():
    score = lambda x: (class_minibatch_stddev(x, CLASSES)[..., 4] ** 2).sum()
    _, second = jax.jvp(jax.grad(score), (images(),), (np.ones((6, 2, 3, 4), np.float32),))
    assert np.isfinite(second).all()


def test_gradient_matches_finite_differences():
    with jax.enable_x64(True):
        x = images().astype(np.float64)
        direction = np.random.default_rng(1).normal(size=x.shape)
        score = lambda x: (class_minibatch_stddev(x, CLASSES, num_channels=2)[..., 4:] ** 2).sum()
        _, slope = jax.jvp(score, (x,), (direction,))
        step = 1e-6
        expected = (score(x + step * direction) - score(x - step * direction)) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-6)
        np.testing.assert_allclose((jax.grad(score)(x) * direction).sum(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "x_shape, classes, num_channels, field",
    [
        ((6, 2, 4), CLASSES, 1, "x:"),
        ((6, 2, 3, 4), CLASSES[:5], 1, "labels:"),
        ((6, 2, 3, 4), CLASSES, 3, "num_channels:"),
    ],
)
def test_wrong_arguments_are_named(x_shape, classes, num_channels, field):
    with pytest.raises(ValueError, match=f"^{field}.*allowed"):
        class_minibatch_stddev(np.zeros(x_shape, np.float32), classes, num_channels=num_channels)
