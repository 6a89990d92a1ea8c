"""Convolution with resampling against NumPy, pixel by pixel, for random options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_reference as slow
from derivatives import check_derivatives, program

from flaxgan.ops.conv import conv2d, conv2d_resample, conv2d_resample_reference
from flaxgan.ops.upfirdn import setup_filter

BLUR = setup_filter([1, 3, 3, 1])
TRAINING = [{"up": 2}, {"down": 2}, {}]  # The resampling of the published networks.


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _random_case(seed):
    """x, w, f and options; a seed's remainder picks up, down, both or neither, so that all are tried equally often."""
    rng = np.random.default_rng(seed)
    up, down = [(int(rng.integers(2, 4)), 1), (1, int(rng.integers(2, 4))), (1, 1), (2, int(rng.integers(2, 4)))][
        seed % 4
    ]
    groups = int(rng.integers(1, 3))
    height, width = (1, 1) if rng.integers(4) == 0 else rng.integers(1, 5, 2)
    w = rng.normal(size=(height, width, 2, 2 * groups))
    x = rng.normal(size=(2, *rng.integers(8, 12, 2), 2 * groups))
    options = {"up": up, "down": down, "groups": groups, "padding": slow.random_padding(rng, -1, 3)}
    options |= {"flip_weight": bool(rng.integers(2)), "flip_filter": bool(rng.integers(2))}
    return x, w, slow.random_filter(rng, most_taps=6), options


@pytest.mark.parametrize("seed", range(40))
def test_conv2d_resample_and_its_plain_form(seed):
    x, w, f, options = _random_case(seed)
    with jax.enable_x64(True):
        run = program(lambda x, w: [form(x, w, f, **options) for form in (conv2d_resample, conv2d_resample_reference)])
        forms = run(x, w)
    expected = slow.conv2d_resample(x, w, f, **options)
    for y in forms:
        np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("padding", [0, 1, 2, (2, 1), (-1, 2, 0, 1), (0, 2, 1, 1)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4)])
def test_conv2d(kernel, padding):
    x, w = _random(1, 6, 5, 2), _random(*kernel, 2, 3)
    with jax.enable_x64(True):
        y = program(lambda x, w: conv2d(x, w, padding=padding))(x, w)
    np.testing.assert_allclose(y, slow.conv2d(x, w, padding=padding), rtol=1e-11, atol=1e-11)


def test_conv2d_of_one_pixel_and_many_channels():
    x, w = _random(2, 3, 2, 20), _random(1, 1, 20, 5)
    with jax.enable_x64(True):
        y = conv2d(jnp.asarray(x), jnp.asarray(w), padding=(1, 0))
    np.testing.assert_allclose(y, slow.conv2d(x, w, padding=(1, 0)), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("options", TRAINING)
def test_gradients_agree_with_the_plain_form(options, kernel):
    options = {"padding": kernel // 2, "flip_weight": False, **options}
    x, w = _random(2, 6, 4, 3), _random(kernel, kernel, 3, 2)

    def gradients(x, w):
        forms = (conv2d_resample, conv2d_resample_reference)
        loss = lambda form: lambda x, w: jnp.sum(jnp.sin(form(x, w, BLUR, **options)))
        return [jax.grad(loss(form), argnums=(0, 1))(x, w) for form in forms]

    with jax.enable_x64(True):
        fast, plain = program(gradients)(x, w)
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("options", TRAINING)
def test_derivatives(options):
    function = lambda x, w: jnp.sin(conv2d_resample(x, w, BLUR, padding=1, **options))
    check_derivatives(function, _random(1, 4, 4, 2), _random(3, 3, 2, 2))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("options", TRAINING)
def test_keeps_the_dtype(options, dtype):
    x, w = _random(2, 4, 4, 3), _random(3, 3, 3, 2) / 5
    function = program(lambda x, w: conv2d_resample(x, w, BLUR, padding=1, **options))
    y = function(x.astype(dtype), w.astype(dtype))
    assert y.dtype == dtype
    expected = slow.conv2d_resample(x, w, BLUR, padding=1, **options)
    tolerance = 20 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("options", TRAINING)
def test_jit_equals_eager_and_vmap_the_loop(options):
    x, w = jnp.asarray(_random(2, 1, 4, 4, 2), jnp.float32), jnp.asarray(_random(2, 3, 3, 2, 2), jnp.float32)
    function = lambda x, w: conv2d_resample(x, w, BLUR, padding=1, **options)
    jitted = jax.jit(function)
    expected = [jitted(*pair) for pair in zip(x, w, strict=True)]
    np.testing.assert_allclose(function(x[0], w[0]), expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(program(jax.vmap(function))(x, w), jnp.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", TRAINING[:2])
def test_other_platforms_get_native_convolutions(options):
    function = jax.jit(lambda x, w: conv2d_resample(x, w, BLUR, padding=1, **options))
    arguments = (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 2)))
    for platform, expected, absent in [("cpu", "dot_general", "convolution"), ("tpu", "convolution", "dot_general")]:
        program = function.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
        assert f"stablehlo.{expected}" in program
        assert f"stablehlo.{absent}" not in program


@pytest.mark.parametrize(
    ("x", "w", "options", "name"),
    [
        ((4, 4, 2), (3, 3, 2, 2), {}, "x"),
        ((1, 4, 4, 2), (3, 3, 3, 2), {"padding": 1}, "w"),
        ((1, 4, 4, 2), (3, 3, 2), {"padding": 1}, "w"),
        ((1, 4, 4, 4), (3, 3, 2, 3), {"padding": 1, "groups": 2}, "w"),
        ((1, 4, 4, 2), (3, 3, 2, 2), {"groups": 0}, "w"),
        ((1, 2, 4, 2), (3, 3, 2, 2), {}, "x"),
        ((1, 4, 2, 2), (3, 3, 2, 2), {}, "x"),
        ((1, 2, 2, 2), (5, 5, 2, 2), {"down": 2}, "x"),
        ((1, 2, 2, 2), (9, 9, 2, 2), {"up": 2}, "x"),
        ((1, 4, 4, 2), (3, 3, 2, 2), {"up": 0}, "up"),
        ((1, 4, 4, 2), (3, 3, 2, 2), {"down": (1, 2)}, "down"),
    ],
)
def test_refuses(x, w, options, name):
    with pytest.raises(ValueError, match=f"^{name}: found"):
        conv2d_resample(jnp.zeros(x), jnp.zeros(w), BLUR, **options)


def test_conv2d_refuses():
    with pytest.raises(ValueError, match="^w: found"):
        conv2d(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 2)))
    with pytest.raises(ValueError, match="^x: found"):
        conv2d(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 2)), padding=-1)
