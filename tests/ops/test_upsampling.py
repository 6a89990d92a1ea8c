"""Doubling of feature maps, pixel by pixel."""

import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops.upsampling import UPSAMPLINGS, upsample


def _slow(x, method):
    """Each pixel of the result by itself, from the position of its centre in the image."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, 2 * height, 2 * width, channels))
    for row in range(2 * height):
        for column in range(2 * width):
            if method == "nearest" or method == "zeros" and row % 2 == 0 and column % 2 == 0:
                y[:, row, column] = x[:, row // 2, column // 2]
            elif method == "bilinear":
                y[:, row, column] = _at(x, (row + 0.5) / 2 - 0.5, (column + 0.5) / 2 - 0.5)
    return y


def _at(x, row, column):
    """The image between four pixels; beyond the outermost ones, those."""
    row, column = np.clip(row, 0, x.shape[1] - 1), np.clip(column, 0, x.shape[2] - 1)
    top, left = int(row), int(column)
    bottom, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
    down, along = row - top, column - left
    upper = (1 - along) * x[:, top, left] + along * x[:, top, right]
    lower = (1 - along) * x[:, bottom, left] + along * x[:, bottom, right]
    return (1 - down) * upper + down * lower


@pytest.mark.parametrize("shape", [(2, 3, 4, 2), (1, 1, 2, 1)])
@pytest.mark.parametrize("method", UPSAMPLINGS)
def test_matches_the_definition(method, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(program(lambda x: upsample(x, method))(x), _slow(x, method), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", UPSAMPLINGS)
def test_derivatives(method):
    """Squared, because the operation is linear."""
    check_derivatives(lambda x: upsample(x, method) ** 2, np.random.default_rng(0).normal(size=(1, 2, 3, 1)))


@pytest.mark.parametrize("method", UPSAMPLINGS)
def test_keeps_the_dtype(method):
    assert upsample(jnp.ones((1, 2, 2, 1), jnp.bfloat16), method).dtype == jnp.bfloat16


def test_another_method_is_refused():
    with pytest.raises(ValueError, match="^upsampling: found 'cubic', allowed: nearest, bilinear, zeros"):
        upsample(jnp.zeros((1, 2, 2, 1)), "cubic")


@pytest.mark.parametrize("method", UPSAMPLINGS)
def test_another_number_of_axes_is_refused(method):
    with pytest.raises(ValueError, match=r"found shape \(2, 2, 1\), allowed: \[N, H, W, C\]"):
        upsample(jnp.zeros((2, 2, 1)), method)
