"""The operators against stylegan2/ops.npz, values and vector-Jacobian products, in all their forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case, Suite, hwio, nchw, nhwc, oihw, run_as_program

from flaxgan.ops.bias_act import ACTIVATIONS, bias_act
from flaxgan.ops.conv import conv2d_resample, conv2d_resample_reference
from flaxgan.ops.minibatch_stddev import minibatch_stddev
from flaxgan.ops.modulated_conv import modulated_conv, modulated_conv_reference
from flaxgan.ops.pixel_norm import normalize_2nd_moment
from flaxgan.ops.upfirdn import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

suite = Suite(__name__, float32=1e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("setup_filter_*", inputs=["f_in"])
def run_setup_filter(case: Case):
    f = case.option("f")
    stored = case.optional_input("f_in")
    case.check("f_in is the option f", (f is None) == (stored is None))
    if f is not None:
        np.testing.assert_array_equal(stored, np.asarray(f, stored.dtype))
    names = ("normalize", "flip_filter", "gain", "separable")
    options = {name: case.option(name) for name in names if name in case.options}
    case.compare("f_out", setup_filter(stored, **options))


@suite.kind("upfirdn2d_*", inputs=["x", "f", "dy"])
def run_upfirdn2d(case: Case):
    f = _filter(case)
    options = {name: case.option(name) for name in ("up", "down", "padding", "flip_filter", "gain")}
    x = nhwc(case.input("x"))
    forms = [lambda x: upfirdn2d(x, f, **options)]
    if f is not None:  # A filter that cannot be looked into takes the form for all filters.
        forms.append(lambda x: upfirdn2d(x, jnp.asarray(f), **options))
    _compare_with_gradients(case, forms, {"x": x})


@suite.kind("upsample2d_*", "downsample2d_*", "filter2d_*", inputs=["x", "f"])
def run_resampling(case: Case):
    function = {"upsample2d": upsample2d, "downsample2d": downsample2d, "filter2d": filter2d}[case.option("fn")]
    options = {name: case.option(name) for name in ("padding", "flip_filter", "gain")}
    options |= {name: case.option(name) for name in ("up", "down") if name in case.options}
    f = case.optional_input("f")
    _compare_with_gradients(case, [lambda x: function(x, f, **options)], {"x": nhwc(case.input("x"))})


@suite.kind("conv2d_resample_*", inputs=["x", "w", "f", "dy"])
def run_conv2d_resample(case: Case):
    f = _filter(case)
    names = ("up", "down", "padding", "groups", "flip_weight", "flip_filter")
    options = {name: case.option(name) for name in names}
    arguments = {"x": nhwc(case.input("x")), "w": hwio(case.input("w"))}
    forms = [
        lambda x, w: conv2d_resample(x, w, f, **options),
        lambda x, w: conv2d_resample_reference(x, w, f, **options),
    ]
    _compare_with_gradients(case, forms, arguments)


@suite.kind("bias_act_*", inputs=["x", "b", "dy"])
def run_bias_act(case: Case):
    name = case.option("act")
    options = {key: case.option(key) for key in ("alpha", "gain", "clamp") if key in case.options}
    for field in ("gain", "alpha"):
        if f"def_{field}" in case.options:
            case.compare_option(f"def_{field}", getattr(ACTIVATIONS[name], field))
    arguments = {key: case.input(key) for key in ("x", "b") if key in case.arrays}
    axis = case.option("dim", 1)

    def function(x, b=None):
        return bias_act(x, b, activation=name, axis=axis, **options)

    _compare_with_gradients(case, [function], arguments, np.asarray)


@suite.kind("modulated_conv2d_fp16*", inputs=["x", "w", "styles"], notes=["note"])
def run_modulated_conv_float16(case: Case):
    """Half results are within the README's 3e-3 of the exact ones; so they are of the reference's half results."""
    options = {name: case.option(name) for name in ("padding", "demodulate")}
    x, weight, styles = nhwc(case.input("x")), hwio(case.input("w")), case.input("styles")
    for form in (modulated_conv, modulated_conv_reference):

        def run(x, form=form):
            return form(x, weight, styles, **options), form(x.astype(jnp.float16), weight, styles, **options)

        exact, half = (nchw(y) for y in run_as_program(run, x))
        case.compare("y_exact", exact)
        case.check(f"the float16 result of {form.__name__} is float16", half.dtype == np.float16)
        for key in ("y_exact", "y_fused", "y_unfused"):
            case.compare(key, half, tolerance=3e-3)


@suite.kind("modulated_conv2d_*", inputs=["x", "w", "styles", "noise", "f", "dy"])
def run_modulated_conv(case: Case):
    names = ("up", "down", "padding", "demodulate", "flip_weight")
    options = {name: case.option(name) for name in names} | {"resample_filter": _filter(case)}
    arguments = {"x": nhwc(case.input("x")), "w": hwio(case.input("w")), "styles": case.input("styles")}
    layout = case.option("noise")
    case.check("noise is what the options say", ("noise" in case.arrays) == (layout is not None))
    if layout is not None:
        noise = case.input("noise")
        arguments["noise"] = {"hw": noise, "n1hw": np.moveaxis(noise, min(1, noise.ndim - 1), -1)}[layout]
    forms = [
        lambda x, w, styles, noise=None: modulated_conv(x, w, styles, noise=noise, **options),
        lambda x, w, styles, noise=None: modulated_conv_reference(x, w, styles, noise=noise, **options),
    ]
    _compare_with_gradients(case, forms, arguments)


@suite.kind("normalize_2nd_moment_*", inputs=["x"])
def run_normalize_2nd_moment(case: Case):
    case.compare("y", normalize_2nd_moment(case.input("x"), axis=case.option("dim"), epsilon=case.option("eps")))


@suite.kind("minibatch_std_*", inputs=["x", "dy"], notes=["error"])
def run_minibatch_stddev(case: Case):
    options = {name: case.option(name) for name in ("group_size", "num_channels")}
    arguments = {"x": nhwc(case.input("x"))}
    if case.option("raises"):
        with pytest.raises(ValueError, match="group_size|num_channels"):
            minibatch_stddev(arguments["x"], **options)
        case.check("raises", True)
        return
    _compare_with_gradients(case, [lambda x: minibatch_stddev(x, **options)], arguments)


def _filter(case: Case) -> np.ndarray | None:
    f = case.optional_input("f")
    case.check("f is what has_filter says", (f is not None) == case.option("has_filter"))
    return f


def _compare_with_gradients(case: Case, forms: list, arguments: dict[str, np.ndarray], to_golden=nchw) -> None:
    """Compares y of every form, and, where the case has a cotangent, d<argument> for every argument."""
    to_ours = {nchw: nhwc, np.asarray: np.asarray}[to_golden]
    cotangent = to_ours(case.input("dy")) if "dy" in case.arrays else None

    def run(arguments, cotangent):
        results = []
        for form in forms:
            y, pullback = jax.vjp(lambda arguments, form=form: form(**arguments), arguments)
            results.append((y, {} if cotangent is None else pullback(cotangent)[0]))
        return results

    for y, gradients in run_as_program(run, arguments, cotangent):
        case.compare("y", to_golden(y))
        for name, gradient in gradients.items():
            case.compare(f"d{name}", _in_golden_layout(name, gradient, to_golden))


def _in_golden_layout(name: str, array: jax.Array, to_golden) -> np.ndarray:
    if name == "w":
        return oihw(array)
    return to_golden(array) if array.ndim == 4 else np.asarray(array)
