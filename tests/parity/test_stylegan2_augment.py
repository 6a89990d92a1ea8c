"""The augmentation pipe and its controller against stylegan2/augment.npz."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case, Suite, nchw, nhwc

from flaxgan import augment
from flaxgan.augment import controller, image_filter, warp

GRADIENT = {"float32": 5e-5, "float64": 1e-6}

suite = Suite(__name__, float32=3e-5, float64=1e-6)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("const")
def run_constants(case: Case):
    case.compare("Hz_geom", np.asarray(warp.LOWPASS))
    case.compare("Hz_fbank", image_filter.filter_bank())


@suite.kind("inputs", inputs=["*"])
def run_inputs(case: Case):
    """Inputs that the other cases share: nothing is computed from them here."""
    for name in case.options:
        case.option(name)
    for key in case.arrays:
        case.check(f"{key} is [N, C, H, W]", case.input(key).ndim == 4)


@suite.kind("ada_*", inputs=["signs"])
def run_controller(case: Case):
    interval, batch_size = case.option("ada_interval"), case.option("batch_size")
    signs = jnp.asarray(case.input("signs"))
    case.check("batch_size", signs.shape[1] == batch_size)
    settings = {
        "interval": interval,
        "images_per_update": batch_size * interval,
        "target": case.option("ada_target"),
        "kimg": case.option("ada_kimg"),
    }

    def step(state, inputs):
        state = controller.accumulate(state, inputs[1])
        r_t = state.sign_sum / state.sign_count
        state = controller.maybe_update(state, inputs[0], **settings)
        return state, (state.p, r_t)

    steps = jnp.arange(1, len(signs) + 1)
    _, (p, r_t) = jax.lax.scan(step, controller.init(case.option("p0")), (steps, signs))
    case.compare("p_after_each_iter", p)
    case.compare("rt_at_each_update", r_t[interval - 1 :: interval])


@suite.kind("*", inputs=["dy"])
def run_pipe(case: Case):
    spec = augment.AugmentSpec(**case.option("kwargs"))
    images = jnp.asarray(nhwc(case.shared(f"inputs/{case.option('input')}")))
    draws, p = _draws(case, spec, images), case.option("p", 1.0)
    y, pullback = jax.vjp(lambda images: augment.augment(images, draws, p, spec), images)
    case.check("the type is that of the images", y.dtype == case.dtype)
    case.compare("y", nchw(y))
    if "dy" in case.arrays:
        (dx,) = pullback(jnp.asarray(nhwc(case.input("dy"))))
        case.compare("dx", nchw(dx), tolerance=GRADIENT)
    if "max_abs_change" in case.options:
        allowed = max(case.option("max_abs_change"), {"float32": 1e-5, "float64": 1e-11}[case.precision])
        case.check("max_abs_change", float(jnp.max(jnp.abs(y - images))) <= allowed)


def _draws(case: Case, spec: augment.AugmentSpec, images: jax.Array) -> augment.Draws:
    """Draws at the case's percentile; any draws where p = 0 lets none of them through."""
    percentile = case.option("percentile", None)
    if percentile is None:
        case.check("p is 0 where there is no percentile", case.option("p") == 0)
        return augment.draw(jax.random.key(0), spec, len(images), images.shape[1:])
    noise = case.option("noise")
    noise_image = None if noise is None else jnp.asarray(nhwc(case.shared(f"inputs/{noise}")))
    return augment.percentile_draws(percentile, spec, len(images), noise_image=noise_image)
