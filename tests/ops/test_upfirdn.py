"""Resampling against NumPy, pixel by pixel, for random options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_reference as slow
from derivatives import check_derivatives, program

from flaxgan.ops.upfirdn import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

BLUR = setup_filter([1, 3, 3, 1])


def _images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _random_case(seed):
    """x, f and options of upfirdn2d with a result of at least one pixel."""
    rng = np.random.default_rng(seed)
    while True:
        x, f = rng.normal(size=(2, *rng.integers(1, 9, 2), 2)), slow.random_filter(rng)
        up, down = ([int(rng.integers(1, 4)), tuple(rng.integers(1, 4, 2).tolist())][rng.integers(2)] for _ in range(2))
        padding = slow.random_padding(rng, -3, 6)
        (up_x, up_y), (x0, x1, y0, y1) = slow.pair(up), slow.sides(padding)
        fh, fw = slow.filter_2d(f).shape
        if x.shape[1] * up_y + y0 + y1 >= fh and x.shape[2] * up_x + x0 + x1 >= fw:
            flip, gain = bool(rng.integers(2)), float(rng.uniform(0.2, 4))
            return x, f, {"up": up, "down": down, "padding": padding, "flip_filter": flip, "gain": gain}


@pytest.mark.parametrize("seed", range(40))
def test_upfirdn2d_and_with_a_traced_filter(seed):
    x, f, options = _random_case(seed)
    with jax.enable_x64(True):
        y, traced = program(lambda x, g: (upfirdn2d(x, f, **options), upfirdn2d(x, g, **options)))(x, f)
    expected = slow.upfirdn2d(x, f, **options)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(traced, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 2), {"padding": (-4, 9, 7, -5)}),  # Crops more than the image on one side.
        ((3, 2), {"up": 2, "padding": (-9, 12, 9, -8)}),
        ((1, 1), {"up": 4, "padding": 3}),
        ((2, 3), {"up": 5, "padding": (3, 0, 2, 1)}),
        ((9, 9), {"down": 4, "padding": 1}),
    ],
)
def test_extreme_options(size, options):
    x = _images(1, *size, 2)
    y = program(lambda x: upfirdn2d(x, BLUR, **options))(x)
    np.testing.assert_allclose(y, slow.upfirdn2d(x, BLUR, **options), atol=1e-6)


def test_taps_that_meet_no_pixel_give_zeros():
    x = _images(1, 3, 3, 1)
    y = upfirdn2d(x, None, up=3)
    np.testing.assert_allclose(y, slow.upfirdn2d(x, None, up=3), atol=1e-7)
    assert np.count_nonzero(y) == 9


@pytest.mark.parametrize("f", [BLUR, np.arange(1, 13) / 50, np.arange(1, 16).reshape(3, 5) / 40, None])
@pytest.mark.parametrize("factor", [2, 3, (2, 1)])
def test_padding_of_the_resampling_functions(f, factor):
    x, extra, fh_fw = _images(1, 8, 10, 2), (1, 0, -1, 2), slow.filter_2d(f).shape
    options = {"padding": extra, "flip_filter": True, "gain": 1.5}
    factor_x, factor_y = slow.pair(factor)
    run = program(
        lambda x: (upsample2d(x, f, up=factor, **options), downsample2d(x, f, down=factor, **options), filter2d(x, f))
    )
    up, down, same = run(x)
    padding = slow.add(extra, slow.upsample_padding(f, factor))
    gain = 1.5 * factor_x * factor_y
    expected = slow.upfirdn2d(x, f, up=factor, padding=padding, flip_filter=True, gain=gain)
    np.testing.assert_allclose(up, expected, rtol=1e-4, atol=1e-4)
    padding = slow.add(extra, slow.downsample_padding(f, factor))
    expected = slow.upfirdn2d(x, f, down=factor, padding=padding, flip_filter=True, gain=1.5)
    np.testing.assert_allclose(down, expected, rtol=1e-4, atol=1e-4)
    padding = (fh_fw[1] // 2, (fh_fw[1] - 1) // 2, fh_fw[0] // 2, (fh_fw[0] - 1) // 2)
    np.testing.assert_allclose(same, slow.upfirdn2d(x, f, padding=padding), rtol=1e-4, atol=1e-4)


def test_a_constant_image_stays_constant_inside():
    x = jnp.ones((1, 8, 8, 1))
    for y in (upsample2d(x, BLUR), downsample2d(x, BLUR), filter2d(x, BLUR)):
        np.testing.assert_allclose(y[0, 3:-3, 3:-3, 0] if y.shape[1] > 4 else y[0, 1:-1, 1:-1, 0], 1, rtol=1e-6)


@pytest.mark.parametrize("options", [{"up": 2, "padding": (2, 1)}, {"down": 2, "padding": 1}, {"padding": (2, -1)}])
def test_derivatives_in_image_and_filter(options):
    check_derivatives(lambda x, f: jnp.sin(upfirdn2d(x, f, **options)), _images(1, 6, 7, 1), _images(4))


@pytest.mark.parametrize("f", [BLUR, np.asarray(BLUR, np.float64) + np.eye(4)])
def test_derivatives_of_both_forms(f):
    check_derivatives(lambda x: jnp.sin(upfirdn2d(x, f, up=2, down=3, padding=2)), _images(1, 4, 5, 2))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("f", [BLUR, np.arange(1, 16, dtype=np.float32).reshape(3, 5) / 120])
def test_keeps_the_dtype(dtype, f):
    x = _images(1, 6, 6, 2)
    y = program(lambda x: upfirdn2d(x, f, up=2, padding=2))(jnp.asarray(x, dtype))
    assert y.dtype == dtype
    tolerance = 4 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(y, np.float64), slow.upfirdn2d(x, f, up=2, padding=2), atol=tolerance)


def test_jit_equals_eager_and_vmap_the_loop():
    x = jnp.asarray(_images(3, 1, 5, 4, 2))
    resample = lambda x: upsample2d(x, BLUR)
    expected = jnp.stack([resample(image) for image in x])
    np.testing.assert_allclose(jax.vmap(resample)(x), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(resample)(x[0]), expected[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("f", "options", "expected"),
    [
        ([1, 3, 3, 1], {}, np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64),
        ([1, 3, 3, 1], {"separable": True, "gain": 4}, np.array([1, 3, 3, 1]) / 4),
        ([1, 2], {"normalize": False, "flip_filter": True}, [[4, 2], [2, 1]]),
        (range(1, 9), {"normalize": False}, np.arange(1, 9)),
        (range(1, 9), {"normalize": False, "separable": False}, np.outer(np.arange(1, 9), np.arange(1, 9))),
        (2.5, {"normalize": False}, [[6.25]]),
        (2.5, {"separable": True}, [1]),
        ([[1, 2, 3], [4, 5, 6]], {"gain": 3, "flip_filter": True}, np.array([[6, 5, 4], [3, 2, 1]]) / 7),
        (None, {"gain": 2}, [[2]]),
    ],
)
def test_setup_filter(f, options, expected):
    f = setup_filter(f, **options)
    assert f.dtype == np.float32
    np.testing.assert_allclose(f, expected, rtol=1e-6)


def test_setup_filter_keeps_double_precision():
    f = setup_filter(np.array([1.0, 2.0, 4.0]), separable=True)
    assert f.dtype == np.float64
    np.testing.assert_array_equal(f, np.array([1, 2, 4]) / 7)


@pytest.mark.parametrize(
    ("f", "options"),
    [([], {}), (np.ones((2, 2, 2)), {}), (np.ones((2, 2)), {"separable": True}), ([1, -1], {"separable": True})],
)
def test_setup_filter_refuses(f, options):
    with pytest.raises(ValueError, match=r"^(f|separable): found"):
        setup_filter(f, **options)


@pytest.mark.parametrize(
    ("shape", "f", "options", "name"),
    [
        ((4, 4, 3), BLUR, {}, "x"),
        ((1, 2, 8, 3), BLUR, {}, "x"),
        ((1, 8, 2, 3), BLUR, {}, "x"),
        ((1, 8, 8, 3), BLUR, {"padding": -4}, "x"),
        ((1, 8, 8, 3), np.ones((2, 2, 2)), {}, "f"),
        ((1, 8, 8, 3), np.ones((0,)), {}, "f"),
        ((1, 8, 8, 3), BLUR, {"up": 0}, "up"),
        ((1, 8, 8, 3), BLUR, {"down": (1, 2, 3)}, "down"),
        ((1, 8, 8, 3), BLUR, {"down": 1.5}, "down"),
        ((1, 8, 8, 3), BLUR, {"padding": (1, 2, 3)}, "padding"),
        ((1, 8, 8, 3), BLUR, {"padding": 0.5}, "padding"),
    ],
)
def test_upfirdn2d_refuses(shape, f, options, name):
    with pytest.raises(ValueError, match=f"^{name}: found"):
        upfirdn2d(jnp.zeros(shape), f, **options)
