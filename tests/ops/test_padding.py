"""The spellings of factors and paddings."""

import jax.numpy as jnp
import numpy as np
import pytest
import slow_reference as slow

from flaxgan.ops.padding import pad_axis, pad_image, parse_factor, parse_padding


@pytest.mark.parametrize(
    ("factor", "expected"), [(2, (2, 2)), ((1, 3), (1, 3)), ([3, 1], (3, 1)), (np.int64(4), (4, 4))]
)
def test_factors(factor, expected):
    assert parse_factor(factor, "up") == expected


@pytest.mark.parametrize("factor", [0, -1, (2, 0), (2,), (1, 2, 3), 2.0, True, "2", None])
def test_wrong_factors(factor):
    with pytest.raises(ValueError, match=r"^down: found"):
        parse_factor(factor, "down")


@pytest.mark.parametrize(
    ("padding", "expected"),
    [(0, (0, 0, 0, 0)), (-2, (-2,) * 4), ((1, 2), (1, 1, 2, 2)), ([1, 2, 3, -4], (1, 2, 3, -4))],
)
def test_paddings(padding, expected):
    assert parse_padding(padding) == expected


@pytest.mark.parametrize("padding", [(1, 2, 3), (1,), (), 0.5, (1, 2.0), False, "1", None])
def test_wrong_paddings(padding):
    with pytest.raises(ValueError, match=r"^padding: found"):
        parse_padding(padding)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 3, 0), (-1, 2, 0, -2), (-4, 6, 5, -3)])
def test_pad_image(padding):
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(pad_image(jnp.asarray(x), padding), slow.pad(x, padding).astype(np.float32))


def test_pad_axis():
    x = jnp.array([[1, 2, 3]])
    np.testing.assert_array_equal(pad_axis(x, 1, 1, -1, zeros_between=2), [[0, 1, 0, 0, 2, 0, 0]])
    np.testing.assert_array_equal(pad_axis(x, 0, 0, 1), [[1, 2, 3], [0, 0, 0]])
