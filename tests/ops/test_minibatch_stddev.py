"""Minibatch standard deviation against NumPy, one group and one block of channels at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops.minibatch_stddev import minibatch_stddev


def _images(*shape):
    return np.random.default_rng(0).normal(size=shape)


def _slow(x, group_size, num_channels):
    batch, channels = x.shape[0], x.shape[3]
    group = batch if group_size is None else min(group_size, batch)
    extra = np.zeros((*x.shape[:3], num_channels))
    width = channels // num_channels
    for first in range(batch // group):
        members = list(range(first, batch, batch // group))  # Strided: image j, j + N/G, j + 2N/G, ...
        for block in range(num_channels):
            values = x[members][..., block * width : (block + 1) * width]
            extra[members, :, :, block] = np.mean(np.sqrt(np.var(values, axis=0) + 1e-8))
    return np.concatenate([x, extra], axis=3)


@pytest.mark.parametrize("batch", [1, 6, 8, 12])
@pytest.mark.parametrize(("group_size", "num_channels"), [(2, 1), (4, 2), (None, 3), (1, 1), (100, 6)])
def test_matches_the_definition(batch, group_size, num_channels):
    x = _images(batch, 3, 2, 6)
    if group_size == 4 and batch == 6:
        batch, x = 4, x[:4]
    with jax.enable_x64(True):
        y = program(lambda x: minibatch_stddev(x, group_size=group_size, num_channels=num_channels))(x)
    np.testing.assert_allclose(y, _slow(x, group_size, num_channels), rtol=1e-12)


@pytest.mark.parametrize("group_size", [2, None])
def test_derivatives(group_size):
    check_derivatives(lambda x: minibatch_stddev(x, group_size=group_size, num_channels=2), _images(4, 2, 2, 4))


def test_equal_images_have_finite_second_derivatives():
    x = jnp.ones((2, 2, 2, 2))
    score = lambda x: jnp.sum(minibatch_stddev(x, group_size=2))
    assert np.isfinite(program(lambda x: jax.jvp(jax.grad(score), (x,), (x,))[1])(x)).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_statistics_of_half_precision_are_float32(dtype):
    x = jnp.asarray(_images(4, 2, 2, 2) * 300, dtype)  # Squares are out of float16's range.
    y = program(lambda x: minibatch_stddev(x, group_size=4))(x)
    assert y.dtype == dtype
    expected = _slow(np.asarray(x, np.float64), 4, 1)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=float(jnp.finfo(dtype).eps))


def test_jit_equals_eager():
    x = jnp.asarray(_images(4, 2, 2, 2), jnp.float32)
    function = lambda x: minibatch_stddev(x, group_size=2)
    np.testing.assert_allclose(jax.jit(function)(x), function(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "group_size", "num_channels", "name"),
    [
        ((4, 2, 4), 2, 1, "x"),
        ((6, 2, 2, 4), 4, 1, "group_size"),
        ((4, 2, 2, 4), 0, 1, "group_size"),
        ((4, 2, 2, 4), -2, 1, "group_size"),
        ((4, 2, 2, 5), 2, 2, "num_channels"),
        ((4, 2, 2, 4), 2, 0, "num_channels"),
    ],
)
def test_refuses(shape, group_size, num_channels, name):
    with pytest.raises(ValueError, match=f"^{name}: found"):
        minibatch_stddev(jnp.zeros(shape), group_size=group_size, num_channels=num_channels)
