"""Convolutions that resample by themselves, in both forms, against NumPy."""

import jax
import numpy as np
import pytest
import slow_reference as slow
from derivatives import check_derivatives, program

from flaxgan.ops import resampling_conv
from flaxgan.ops.resampling_conv import downsampling_conv, upsampling_conv


def _arrays(*kernel):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 7, 6, 3)), rng.normal(size=(*kernel, 3, 2))


@pytest.fixture(params=["products", "native"])
def form(request, monkeypatch):
    """Runs a test in the form of the CPU, and in that of other platforms."""
    if request.param == "native":
        monkeypatch.setattr(resampling_conv, "_by_platform", lambda on_cpu, elsewhere, x, w: elsewhere(x, w))


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 3), (4, 1), (5, 4)])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_matches_the_definition(form, kernel, factor):
    x, w = _arrays(*kernel)
    with jax.enable_x64(True):
        run = program(lambda x, w: (downsampling_conv(x, w, factor), upsampling_conv(x, w, factor)))
        down, (up, before) = run(x, w)
    np.testing.assert_allclose(down, slow.conv2d(x, w)[:, ::factor, ::factor], rtol=1e-11, atol=1e-11)
    before_y, before_x = (int(pixels) for pixels in before)
    enlarged = slow.upfirdn2d(x, None, up=factor, padding=(before_x, kernel[1] - 1, before_y, kernel[0] - 1))
    np.testing.assert_allclose(up, slow.conv2d(enlarged, w), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [3, 4, 5, 8])
def test_every_size_of_image(form, size):
    x, w = _arrays(3, 3)
    x = x[:, :size, :3]
    with jax.enable_x64(True):
        y = program(lambda x, w: downsampling_conv(x, w, 2))(x, w)
    np.testing.assert_allclose(y, slow.conv2d(x, w)[:, ::2, ::2], rtol=1e-11, atol=1e-11)


def test_derivatives(form):
    check_derivatives(lambda x, w: downsampling_conv(x, w, 2) ** 2, *_arrays(3, 2))
    check_derivatives(lambda x, w: upsampling_conv(x, w, 2)[0] ** 2, *_arrays(2, 3))
