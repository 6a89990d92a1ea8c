"""Box resampling and the blend of two resolutions against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops import resampling


def _images(*shape):
    return np.random.default_rng(0).normal(size=shape)


def _slow_box(x, factor):
    n, height, width, channels = x.shape
    y = np.zeros((n, height // factor, width // factor, channels))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            block = x[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            y[:, row, column] = block.mean(axis=(1, 2))
    return y


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_resampling_matches_the_definition(factor):
    x = _images(2, 6, 12, 3)
    with jax.enable_x64(True):
        small = resampling.box_downsample(jnp.asarray(x), factor)
        large = resampling.nearest_upsample(jnp.asarray(x), factor)
    np.testing.assert_allclose(small, _slow_box(x, factor), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(large, x.repeat(factor, axis=1).repeat(factor, axis=2))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_fade_reals_blends_with_the_half_size_image(alpha):
    x = _images(2, 4, 6, 3).astype(np.float32)
    halved = _slow_box(x, 2).repeat(2, axis=1).repeat(2, axis=2)
    y = program(resampling.fade_reals)(jnp.asarray(x), alpha)  # alpha is traced
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, alpha * x + (1 - alpha) * halved, rtol=1e-5, atol=1e-6)


def test_derivatives():
    check_derivatives(lambda x, alpha: resampling.fade_reals(x, alpha[0]) ** 2, _images(1, 4, 2, 1), [0.3])


def test_low_precision_stays_and_is_averaged_in_float32():
    x = jnp.full((1, 2, 2, 1), 3e4, jnp.float16)  # The sum of four is out of float16's range.
    assert resampling.box_downsample(x).dtype == resampling.fade_reals(x, jnp.float32(0.5)).dtype == jnp.float16
    np.testing.assert_allclose(resampling.box_downsample(x), 3e4, rtol=1e-3)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (resampling.box_downsample, (jnp.zeros((1, 6, 5, 1)), 2), "factor: found 2"),
        (resampling.box_downsample, (jnp.zeros((1, 6, 6, 1)), 0), "factor: found 0"),
        (resampling.nearest_upsample, (jnp.zeros((1, 6, 6, 1)), 0), "factor: found 0"),
        (resampling.nearest_upsample, (jnp.zeros((6, 6, 1)), 2), "images: found shape"),
        (resampling.fade_reals, (jnp.zeros((1, 3, 4, 1)), 0.5), "factor: found 2"),
        (resampling.blend, (jnp.zeros((2,)), jnp.zeros((1,)), 0.5), "new: found shape"),
    ],
)
def test_wrong_arguments_are_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
