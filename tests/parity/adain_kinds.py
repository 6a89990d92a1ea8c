"""The kinds of families/norms.npz that are instance normalization, alone, with a style, or as a layer of StyleGAN."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from goldens import Case, Suite, nchw, nhwc, run_as_program

from flaxgan.nn.adain_synthesis import StyledLayer
from flaxgan.nn.equalized import HeDense
from flaxgan.ops.instance_norm import adaptive_instance_norm, instance_norm

EPSILON = 1e-5  # Of the ports.
PORT_NAMES = {"noise_strength": "top_epi.noise.weight", "weight": "style_mod.lin.weight", "bias": "style_mod.lin.bias"}
ROSINALITY_NAMES = {"weight": "style.linear.weight_orig", "bias": "style.linear.bias"}


def register(suite: Suite) -> None:
    """Adds the kinds to the suite of norms.npz."""
    suite.kind("instance_norm*")(run_instance_norm)
    notes = ["lin", "eps", "out"]
    suite.kind("adain_rosinality*", inputs=["sd/*", "cot"], notes=notes)(run_without_one)
    suite.kind("adain_*", "epilogue_*", inputs=["sd/*", "cot", "noise"], notes=notes)(run_with_one)


class AdaIN(nn.Module):
    """A dense layer of the style, and what it does to x."""

    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        style = HeDense(2 * x.shape[-1], gain=self.gain, name="affine")(w)
        return adaptive_instance_norm(x, style, epsilon=EPSILON)


def run_instance_norm(case: Case) -> None:
    """Keys "eps5", "eps8": epsilon 1e-5 and 1e-8."""
    x = jnp.asarray(nhwc(case.shared("common/x1")))
    for key in case.arrays:
        case.compare(key, nchw(instance_norm(x, epsilon=10.0 ** -int(key.removeprefix("eps")))))


def run_with_one(case: Case) -> None:
    """IN(x) (s + 1) + t, with noise and activation in front of it where there is noise."""
    state, x = case.inputs("sd/"), nhwc(case.shared("common/x1"))
    names = {ours: theirs for ours, theirs in PORT_NAMES.items() if theirs in state}
    noise = case.optional_input("noise")
    before, layer, buffers = x, AdaIN(), {}
    if noise is not None:
        noise = noise[:, 0]
        layer, buffers = StyledLayer(epsilon=EPSILON), {"buffers": {"noise_const": noise}}
        before = x + noise[..., None] * state[names["noise_strength"]]
        before = np.where(before > 0, before, 0.2 * before)

    def call(state, x, w):
        affine = {"weight": state[names["weight"]].T, "bias": state[names["bias"]]}
        if noise is None:
            return layer.apply({"params": {"affine": affine}}, x, w)
        own = {"noise_strength": state[names["noise_strength"]], "bias": jnp.zeros(x.shape[-1])}
        return layer.apply({"params": {**own, "affine": affine}, **buffers}, x, w, "const")

    _compare(case, call, names, x, _styles(case, before, state, names, gain=1.0, one=1.0))


def run_without_one(case: Case) -> None:
    """IN(x) s + t, which is ours with 1 less in the bias of s; the dense layer has He's gain, sqrt(2)."""
    state, x = case.inputs("sd/"), nhwc(case.shared("common/x1"))
    names, channels = ROSINALITY_NAMES, x.shape[-1]
    one = np.repeat([1.0, 0.0], channels).astype(case.dtype)

    def call(state, x, w):
        affine = {"weight": state[names["weight"]].T, "bias": state[names["bias"]] - one}
        return AdaIN(gain=math.sqrt(2)).apply({"params": {"affine": affine}}, x, w)

    _compare(case, call, names, x, _styles(case, x, state, names, gain=math.sqrt(2), one=0.0))


def _styles(case: Case, x: np.ndarray, state: dict, names: dict, *, gain: float, one: float) -> np.ndarray:
    """w, which is not stored: found from the output, in which it is linear, with more equations than unknowns."""
    out, x = (nhwc(array).astype(np.float64) for array in (case.arrays["train/out"], nchw(x)))
    centered = x - x.mean(axis=(1, 2), keepdims=True)
    x_hat = centered / np.sqrt(np.mean(centered**2, axis=(1, 2), keepdims=True) + EPSILON)
    scale = np.sum(x_hat * out, axis=(1, 2)) / np.sum(x_hat**2, axis=(1, 2)) - one  # [N, C]
    style = np.concatenate([scale, out.mean(axis=(1, 2))], axis=1)  # [N, 2C]
    weight = state[names["weight"]].astype(np.float64)
    matrix = weight * gain / math.sqrt(weight.shape[1])
    return np.linalg.lstsq(matrix, (style - state[names["bias"]]).T)[0].T.astype(case.dtype)


def _compare(case: Case, call, names: dict, x: np.ndarray, w: np.ndarray) -> None:
    """Output, gradients, and the sums and norms of those of all parameters. w is as exact as the stored output."""
    state, cot = case.inputs("sd/"), nhwc(case.input("cot"))

    def score(state, x, w):
        out = call(state, x, w)
        return jnp.sum(out * cot), out

    gradients = jax.grad(score, argnums=(0, 1, 2), has_aux=True)
    (of_state, of_x, of_w), out = run_as_program(lambda: gradients(state, jnp.asarray(x), jnp.asarray(w)))
    found = {"train/out": nchw(out), "train/grad_in/x": nchw(of_x), "train/grad_in/w": of_w}
    found |= {f"train/grad/{theirs}": of_state[theirs] for theirs in names.values()}
    for key in case.keys("train/*"):
        case.compare(key, found[key])
    for name, expected in case.option("grad_sum_norm").items():
        gradient = np.asarray(found[f"train/grad/{name.removeprefix('train/')}"])
        ours = np.array([gradient.sum(), np.linalg.norm(gradient)])
        error = np.max(np.abs(ours - expected)) / max(np.abs(expected))
        case.check(f"sum and norm of the gradient of {name} (off by {error:.2g})", error <= case.default_tolerance)
