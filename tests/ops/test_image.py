"""Images between uint8 and float."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.ops.image import dequantize, flip_where, to_float, to_uint8, to_uint8_rounded

LEVELS = np.arange(256, dtype=np.uint8)


def test_range_of_floats():
    x = to_float(LEVELS)
    assert x.dtype == jnp.float32
    np.testing.assert_allclose(x, LEVELS / 127.5 - 1, atol=1e-7)
    assert (x[0], x[255]) == (-1, 1)


def test_rounding_undoes_to_float():
    np.testing.assert_array_equal(to_uint8_rounded(to_float(LEVELS)), LEVELS)


def test_dequantized_levels_fill_intervals_of_a_128th():
    """The formula of the official SNGAN code; the centres are the levels again, and the next level begins at 1."""
    for uniform in (0.0, 0.25, 0.999):
        found = dequantize(LEVELS, jnp.full(LEVELS.shape, uniform))
        np.testing.assert_allclose(found, LEVELS / 128 - 1 + uniform / 128, atol=1e-6)
        assert found.dtype == jnp.float32 and found.min() >= -1 and found.max() < 1
    np.testing.assert_array_equal(to_uint8(dequantize(LEVELS, jnp.full(LEVELS.shape, 0.5))), LEVELS)


def test_dequantization_refuses_floats_and_numbers_of_another_shape():
    with pytest.raises(ValueError, match="^images: found float32, allowed: uint8"):
        dequantize(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"^uniform: found shape \(2,\), allowed: \(256,\)"):
        dequantize(LEVELS, jnp.zeros(2))


@pytest.mark.parametrize(
    ("x", "truncated", "rounded"),
    [(-1, 0, 0), (1, 255, 255), (0, 128, 128), (-2, 0, 0), (2, 255, 255), (-0.5, 64, 64), (0.5, 191, 191)],
)
def test_values(x, truncated, rounded):
    assert to_uint8(jnp.float32(x)) == truncated
    assert to_uint8_rounded(jnp.float32(x)) == rounded


def test_truncation_and_rounding_differ():
    x = jnp.float32(100.75 / 127.5 - 1)
    assert (int(to_uint8(x)), int(to_uint8_rounded(x))) == (101, 101)
    x = jnp.float32(100.4 / 127.5 - 1)
    assert (int(to_uint8(x)), int(to_uint8_rounded(x))) == (100, 100)
    x = jnp.float32(100.6 / 127.5 - 1)
    assert (int(to_uint8(x)), int(to_uint8_rounded(x))) == (101, 101)


@pytest.mark.parametrize("convert", [to_uint8, to_uint8_rounded])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_widened_first(convert, dtype):
    x = jnp.asarray(np.linspace(-1.1, 1.1, 50), dtype)
    np.testing.assert_array_equal(convert(x), convert(x.astype(jnp.float32)))


@pytest.mark.parametrize("convert", [to_uint8, to_uint8_rounded])
def test_jit_equals_eager_and_gives_uint8(convert):
    x = jnp.linspace(-1.1, 1.1, 1001)
    y = convert(x)
    assert y.dtype == jnp.uint8
    np.testing.assert_array_equal(jax.jit(convert)(x), y)


def test_flips_are_those_of_numpy_and_jit_equals_eager():
    rng = np.random.default_rng(0)
    images, flip = rng.integers(0, 256, (6, 4, 5, 3), np.uint8), np.array([0, 1, 1, 0, 1, 0], bool)
    expected = np.stack([np.fliplr(image) if flipped else image for image, flipped in zip(images, flip)])
    for found in (flip_where(images, flip), jax.jit(flip_where)(images, flip)):
        assert found.dtype == jnp.uint8
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(flip_where(to_float(images), flip), to_float(expected))


@pytest.mark.parametrize(
    ("shape", "flip", "message"),
    [
        ((4, 5, 3), np.ones(4, bool), r"^images: found shape \(4, 5, 3\), allowed: \[N, H, W, C\]"),
        ((2, 4, 5, 3), np.ones(2, np.int32), r"^flip: found int32 \[2\], allowed: bool \[2\]"),
        ((2, 4, 5, 3), np.ones((2, 1), bool), r"^flip: found bool \[2, 1\], allowed: bool \[2\]"),
        ((2, 4, 5, 3), np.ones(3, bool), r"^flip: found bool \[3\], allowed: bool \[2\]"),
    ],
)
def test_flips_of_other_shapes_are_refused(shape, flip, message):
    with pytest.raises(ValueError, match=message):
        flip_where(np.zeros(shape, np.uint8), flip)


@pytest.mark.parametrize(("convert", "dtype"), [(to_float, np.float32), (to_uint8, np.uint8), (to_uint8_rounded, int)])
def test_refuses_other_dtypes(convert, dtype):
    with pytest.raises(ValueError, match=r"^images: found"):
        convert(np.zeros((2, 2), dtype))
