"""The averaging modes of the minibatch standard deviation against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.ops.minibatch_stddev import averaged_minibatch_stddev

MODES = ("all", "group2", "channels", "spatial", "none", "gpool", "flat")


def _images(*shape):
    return np.random.default_rng(0).normal(size=shape)


def _slow(x, averaging):
    """The appended channels, broadcast to [N, H, W, F]."""
    root = lambda values, axis=None: np.sqrt(np.var(values, axis=axis) + 1e-8)
    stddev = root(x, 0)  # [H, W, C]
    extra = {
        "all": lambda: stddev.mean()[None],
        "group2": lambda: np.stack([stddev[..., :2].mean(), stddev[..., 2:].mean()]),
        "channels": lambda: stddev.mean(axis=2)[..., None],
        "spatial": lambda: stddev.mean(axis=(0, 1)),
        "none": lambda: stddev,
        "gpool": lambda: np.array([root(x[..., channel]) for channel in range(x.shape[3])]),
        "flat": lambda: root(x)[None],
    }[averaging]()
    return np.broadcast_to(extra, (*x.shape[:3], extra.shape[-1]))


@pytest.mark.parametrize("averaging", MODES)
def test_matches_the_definition(averaging):
    x = _images(5, 3, 2, 4) + np.arange(4)
    with jax.enable_x64(True):
        y = averaged_minibatch_stddev(jnp.asarray(x), averaging=averaging)
    np.testing.assert_allclose(y, np.concatenate([x, _slow(x, averaging)], axis=3), rtol=1e-12)


def test_derivatives():
    for averaging in ("none", "gpool"):  # One of each kind of deviation; the means are linear.
        check_derivatives(lambda x, mode=averaging: averaged_minibatch_stddev(x, averaging=mode), _images(3, 2, 1, 2))


@pytest.mark.parametrize("averaging", MODES)
def test_equal_images_have_finite_derivatives(averaging):
    score = lambda x: jnp.sum(averaged_minibatch_stddev(x, averaging=averaging))
    assert np.isfinite(program(jax.grad(score))(jnp.ones((2, 2, 2, 2)))).all()


def test_statistics_of_half_precision_are_float32():
    x = jnp.asarray(_images(4, 2, 2, 2) * 300, jnp.float16)  # Squares are out of float16's range.
    y = program(lambda x: averaged_minibatch_stddev(x, averaging="spatial"))(x)
    assert y.dtype == jnp.float16
    expected = _slow(np.asarray(x, np.float64), "spatial")
    np.testing.assert_allclose(np.asarray(y[..., 2:], np.float64), expected, rtol=1e-3)


@pytest.mark.parametrize("averaging", ["mean", "group", "group0", "group3", "group-2", "group2.5", "spatial "])
def test_refuses_other_averaging(averaging):
    with pytest.raises(ValueError, match=f"^averaging: found '{averaging}'"):
        averaged_minibatch_stddev(jnp.zeros((2, 2, 2, 4)), averaging=averaging)


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match="^x: found"):
        averaged_minibatch_stddev(jnp.zeros((2, 2, 4)), averaging="flat")
