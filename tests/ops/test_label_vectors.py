"""Labels as vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.ops.one_hot import label_vectors


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_indices_become_one_hot(dtype):
    labels = np.array([2, 0, 1], dtype)
    for y in (label_vectors(labels, 4), jax.jit(lambda labels: label_vectors(labels, 4))(labels)):
        assert y.dtype == jnp.float32
        np.testing.assert_array_equal(y, np.eye(4)[labels])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_vectors_stay_as_they_are(dtype):
    labels = jnp.asarray([[0.5, 0.25, -1.0]], dtype)
    y = label_vectors(labels, 3)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, labels.astype(jnp.float32))


def test_double_precision_is_kept():
    with jax.enable_x64(True):
        assert label_vectors(jnp.ones((1, 3), jnp.float64), 3).dtype == jnp.float64


def test_gradient_of_vectors():
    gradient = jax.grad(lambda labels: jnp.sum(label_vectors(labels, 2) ** 2))(jnp.array([[3.0, 1.0]]))
    np.testing.assert_array_equal(gradient, [[6, 2]])


@pytest.mark.parametrize("labels", [None, np.array([1, 0]), np.ones((2, 3))])
def test_without_classes_there_are_none(labels):
    assert label_vectors(labels, 0) is None


@pytest.mark.parametrize(
    "labels",
    [None, np.zeros((2, 3), np.int32), np.zeros(2, np.float32), np.zeros((2, 4), np.float32), np.zeros(2, bool)],
)
def test_refuses(labels):
    with pytest.raises(ValueError, match=r"^labels: found .* allowed: int \[N\] or float \[N, 3\]"):
        label_vectors(labels, 3)
