"""Modulated convolution against its definition in NumPy: weights of its own for each image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_reference as slow
from derivatives import check_derivatives, program

from flaxgan.ops.modulated_conv import modulated_conv, modulated_conv_reference
from flaxgan.ops.upfirdn import setup_filter

BLUR = setup_filter([1, 3, 3, 1])
FORMS = (modulated_conv, modulated_conv_reference)


def _slow(x, weight, styles, *, noise=None, demodulate=True, resample_filter=None, **options):
    images = []
    for image, style in zip(x, styles, strict=True):
        w = weight * style[:, None]
        if demodulate:
            w = w / np.sqrt(np.sum(np.square(w), axis=(0, 1, 2)) + 1e-8)
        images.append(slow.conv2d_resample(image[None], w, resample_filter, **options)[0])
    y = np.stack(images)
    if noise is None:
        return y
    return y + (noise[None, :, :, None] if noise.ndim == 2 else noise)


def _arrays(kernel=3, batch=2, size=(5, 4), channels=(3, 2)):
    rng = np.random.default_rng(0)
    shapes = [(batch, *size, channels[0]), (kernel, kernel, *channels), (batch, channels[0])]
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("options", [{}, {"up": 2}, {"down": 2}, {"up": 2, "resample_filter": np.ones((3, 2)) / 6}])
def test_both_forms(options, demodulate, kernel):
    options = {"resample_filter": BLUR, "padding": kernel // 2, "flip_weight": False, **options}
    options["demodulate"] = demodulate
    arrays = _arrays(kernel)
    with jax.enable_x64(True):
        ys = program(lambda *arrays: [form(*arrays, **options) for form in FORMS])(*arrays)
    for y in ys:
        np.testing.assert_allclose(y, _slow(*arrays, **options), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4, 1), (1, 5, 4, 1)])
def test_noise_is_added_after_demodulation(shape):
    arrays, noise = _arrays(), np.random.default_rng(1).normal(size=shape)
    with jax.enable_x64(True):
        ys = program(lambda noise, *arrays: [form(*arrays, noise=noise, padding=1) for form in FORMS])(noise, *arrays)
    for y in ys:
        np.testing.assert_allclose(y, _slow(*arrays, noise=noise, padding=1), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("options", [{}, {"up": 2}, {"down": 2}])
def test_derivatives(options):
    noise_size = {2: (8, 4), 1: (4, 2)}[options.get("up", 1)] if options.get("down", 1) == 1 else (2, 1)
    options = {"resample_filter": BLUR, "padding": 1, **options}
    function = lambda x, weight, styles, noise: modulated_conv(x, weight, styles, noise=noise, **options)
    arrays = _arrays(size=(4, 2))
    check_derivatives(function, *arrays, np.random.default_rng(1).normal(size=noise_size))


def test_reverse_over_forward_is_reverse_over_reverse():
    x, weight, styles = _arrays()
    score = lambda styles, weight: jnp.sum(jnp.square(modulated_conv(x, weight, styles, padding=1)))

    def over_reverse(weight, styles):
        return jnp.sum(jnp.square(jax.grad(score)(styles, weight)))

    def over_forward(weight, styles):
        direction = jax.lax.stop_gradient(jax.grad(score)(styles, weight))
        return 2 * jax.jvp(lambda styles: score(styles, weight), (styles,), (direction,))[1]

    with jax.enable_x64(True):
        one, other = program(lambda *a: (jax.grad(over_reverse)(*a), jax.grad(over_forward)(*a)))(weight, styles)
    np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-6), (jnp.bfloat16, 4e-2), (jnp.float16, 5e-3)])
@pytest.mark.parametrize("demodulate", [True, False])
def test_computes_in_the_dtype_of_x(demodulate, dtype, tolerance):
    x, weight, styles = (array.astype(np.float32) for array in _arrays())
    options = {"padding": 1, "up": 2, "resample_filter": BLUR, "demodulate": demodulate}
    ys = program(lambda x: [form(x, weight, styles, **options) for form in FORMS])(jnp.asarray(x, dtype))
    expected = _slow(x, weight, styles, **options)
    for y in ys:
        assert y.dtype == dtype
        np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=tolerance * np.abs(expected).max())


def test_float16_does_not_overflow():
    x, weight, styles = _arrays()
    styles, weight = styles * 3e3, weight * 20
    expected = _slow(x, weight, styles, padding=1)
    function = program(lambda x: modulated_conv(x, weight.astype(np.float32), styles.astype(np.float32), padding=1))
    y = function(jnp.asarray(x, jnp.float16))
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=5e-3 * np.abs(expected).max())


def test_jit_equals_eager_and_vmap_the_loop():
    x, weight, styles = (jnp.asarray(array, jnp.float32) for array in _arrays())
    function = lambda x, styles: modulated_conv(x, weight, styles, up=2, padding=1, resample_filter=BLUR)
    expected = function(x, styles)
    np.testing.assert_allclose(jax.jit(function)(x, styles), expected, rtol=1e-5, atol=1e-6)
    one_by_one = jax.jit(jax.vmap(function))(x[:, None], styles[:, None])
    np.testing.assert_allclose(one_by_one[:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"x": (5, 4, 3)}, "x"),
        ({"weight": (3, 3, 2, 2)}, "weight"),
        ({"weight": (3, 3, 3)}, "weight"),
        ({"styles": (2, 2)}, "styles"),
        ({"styles": (1, 3)}, "styles"),
        ({"noise": (4, 5)}, "noise"),
        ({"noise": (2, 1, 5, 4)}, "noise"),
    ],
)
def test_refuses(form, changes, name):
    shapes = {"x": (2, 5, 4, 3), "weight": (3, 3, 3, 2), "styles": (2, 3), **changes}
    arrays = {key: jax.ShapeDtypeStruct(shape, jnp.float32) for key, shape in shapes.items()}
    with pytest.raises(ValueError, match=f"^{name}: found"):
        jax.eval_shape(lambda arrays: form(**arrays, padding=1), arrays)
