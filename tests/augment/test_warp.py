import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_warp import warp as slow_warp

from flaxgan.augment import warp

SHAPE = (3, 7, 10, 2)  # Three images of 7 x 10 pixels with two channels.
LARGEST = (9, 6)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def _images(seed=0, shape=SHAPE):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def _maps(seed=1):
    """Identity and turns with zoom; the last reaches so far that pixels outside the reflection are met."""
    maps = np.random.default_rng(seed).normal(size=(3, 3, 3)) * [[0.6, 0.6, 2], [0.6, 0.6, 2], [0, 0, 0]]
    maps[:, 2] = [0, 0, 1]
    maps[0] = np.eye(3)
    maps[2] *= [[3], [3], [1]]
    return jnp.asarray(maps)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_agrees_with_a_slow_reference(seed):
    images, maps = _images(), _maps(seed)
    expected = [slow_warp(np.asarray(image), np.asarray(to_input)) for image, to_input in zip(images, maps)]
    np.testing.assert_allclose(warp.affine(images, maps, LARGEST), expected, atol=1e-12)


def test_the_lowpass_filter_is_orthogonal():
    taps = np.asarray(warp.LOWPASS)
    shifted = [np.dot(taps[2 * i :], taps[: len(taps) - 2 * i]) for i in range(6)]
    np.testing.assert_allclose(shifted, [0.5, 0, 0, 0, 0, 0], atol=1e-12)


def test_the_identity_loses_nothing():
    images = _images()
    identity = jnp.broadcast_to(jnp.eye(3), (3, 3, 3))
    np.testing.assert_allclose(warp.affine(images, identity, LARGEST), images, atol=1e-11)


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    images, maps = _images(), _maps()
    alone = jnp.concatenate([warp.affine(images[i : i + 1], maps[i : i + 1], LARGEST) for i in range(3)])
    np.testing.assert_allclose(warp.affine(images, maps, LARGEST), alone, atol=1e-13)


def test_the_transpose_is_that_of_the_linear_map():
    """Every column of the matrix, from the forward direction, against the hand-written transposes."""
    shape = (1, 5, 6, 1)
    to_input = _maps()[1:2]
    function = lambda images: warp.affine(images, to_input, (5, 4))
    basis = jnp.eye(30).reshape(30, 5, 6, 1)
    matrix = warp.affine(basis, jnp.broadcast_to(to_input, (30, 3, 3)), (5, 4)).reshape(30, 30)  # [input, output]
    _, pullback = jax.vjp(function, jnp.zeros(shape))
    cotangent = _images(shape=shape)
    np.testing.assert_allclose(pullback(cotangent)[0].ravel(), matrix @ cotangent.ravel(), atol=1e-12)
    _, tangent = jax.jvp(function, (jnp.zeros(shape),), (cotangent,))
    np.testing.assert_allclose(tangent, function(cotangent), atol=1e-12)


def test_single_precision_stays_single():
    images = _images().astype(jnp.float32)
    found = warp.affine(images, _maps().astype(jnp.float32), LARGEST)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, warp.affine(_images(), _maps(), LARGEST), atol=3e-5)
