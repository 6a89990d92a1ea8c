import jax.numpy as jnp
import numpy as np

from flaxgan.augment import matrices

POINT = np.array([3.0, 5.0, 1.0])


def _one(*values):
    return [jnp.array([value]) for value in values]


def test_each_transform_does_what_its_name_says():
    np.testing.assert_allclose(matrices.translation2d(*_one(2.0, -1.0))[0] @ POINT, [5, 4, 1])
    np.testing.assert_allclose(matrices.scaling2d(*_one(2.0, -1.0))[0] @ POINT, [6, -5, 1])
    np.testing.assert_allclose(matrices.rotation2d(*_one(np.pi / 2))[0] @ POINT, [-5, 3, 1], atol=1e-6)


def test_a_product_applies_the_last_matrix_first():
    moved = matrices.product([matrices.scaling2d(*_one(2.0, 2.0)), matrices.translation2d(*_one(1.0, 0.0))])
    np.testing.assert_allclose(moved[0] @ POINT, [8, 10, 1])


def test_homogeneous_is_linear_and_offset():
    rng = np.random.default_rng(0)
    linear, offset, v = rng.normal(size=(2, 4, 4)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    matrix = np.asarray(matrices.homogeneous(jnp.asarray(linear), jnp.asarray(offset)))
    found = np.einsum("nij,nj->ni", matrix, np.concatenate([v, np.ones((2, 1))], axis=1))
    expected = np.concatenate([np.einsum("nij,nj->ni", linear, v) + offset, np.ones((2, 1))], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
