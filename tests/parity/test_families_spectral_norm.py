"""Spectral normalization against families/spectral_norm.npz."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from goldens import Case, Suite, run_as_program

from flaxgan.nn.layers import SpectralNorm, spectrally_normalized
from flaxgan.ops.spectral_norm import power_iteration, power_iterations, spectral_sigma

suite = Suite(__name__, float32=2e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


class _Weight(nn.Module):
    """A layer of which only the weight is looked at."""

    kernel: Any
    spectral: SpectralNorm

    @nn.compact
    def __call__(self, *, train: bool):
        kernel = self.param("kernel", lambda _: jnp.asarray(self.kernel))
        return spectrally_normalized(self, kernel, self.spectral, train=train)


@suite.kind("*", inputs=["W", "u0", "R", "u_unit", "v_unit", "ajbrock/two_svs/u1_in"], notes=["matrix", "shape"])
def run_spectral_norm(case: Case):
    layout = _Layout(case.option("kind"), case.arrays["W"].shape)
    arrays = {key: case.input(key) for key in case.arrays if case.is_input(key)}

    def everything():
        results = {"sigma_svd": _largest_singular_value(layout, arrays)}
        for scheme in sorted({key.rpartition("/")[0].rpartition("/")[0] for key in case.keys("*/*/*/*")}):
            results |= _scheme(case, layout, scheme, arrays)
        if case.keys("mimicry_own/*"):
            spectral = SpectralNorm(eps=1e-12, iterations=1)
            results |= _calls(layout, "mimicry_own", spectral, arrays, arrays["u0"].ravel(), None)
        if case.keys("ajbrock/two_svs/*"):
            results |= _two_singular_values(layout, arrays)
        return results

    results = run_as_program(everything)
    results |= {key: results[key].reshape(case.arrays[key].shape) for key in results if key in case.arrays}
    _add_sigmas(case, results)
    for key in case.arrays:
        if not case.is_input(key):
            case.compare(key, results[key])


class _Layout:
    """Our kernel [..., O] and vectors of the reference's weight."""

    def __init__(self, kind: str, shape: tuple[int, ...]):
        # Axes of the reference's weight in the order of our kernel; an embedding is normalized transposed.
        self.axes = {"conv": (2, 3, 1, 0), "deconv": (2, 3, 0, 1), "lin": (1, 0), "emb": (1, 0)}[kind]
        self.columns = tuple(shape[axis] for axis in sorted(self.axes[:-1]))  # As in the reference's matrix.
        self.order = tuple(sorted(self.axes[:-1]).index(axis) for axis in self.axes[:-1])

    def kernel(self, weight):
        return jnp.transpose(weight, self.axes)

    def matrix(self, weight):
        kernel = self.kernel(weight)
        return kernel.reshape(-1, kernel.shape[-1]).T

    def weight(self, kernel):
        return jnp.transpose(kernel, np.argsort(self.axes))

    def our_v(self, v):
        return v.reshape(self.columns).transpose(self.order).ravel()

    def their_v(self, v):
        return v.reshape([self.columns[axis] for axis in self.order]).transpose(np.argsort(self.order)).ravel()


def _scheme(case: Case, layout: _Layout, scheme: str, arrays: dict) -> dict[str, jax.Array]:
    """The results of "ajbrock/eps6_itrs1" or "torch/eps12_itrs3": one and three calls in training mode, one in eval."""
    implementation, exponent, iterations = re.fullmatch(r"(\w+)/eps(\d+)_itrs(\d+)", scheme).groups()
    eval_iterates = {"ajbrock": True, "torch": False}[implementation]
    spectral = SpectralNorm(eps=10.0 ** -int(exponent), iterations=int(iterations), eval_iterates=eval_iterates)
    if eval_iterates:
        return _calls(layout, scheme, spectral, arrays, arrays["u0"].ravel(), None)
    return _calls(layout, scheme, spectral, arrays, arrays["u_unit"], layout.our_v(arrays["v_unit"]))


def _calls(layout: _Layout, scheme: str, spectral: SpectralNorm, arrays: dict, u, v) -> dict[str, jax.Array]:
    kernel, cotangent = layout.kernel(arrays["W"]), layout.kernel(arrays["R"])
    layer = _Weight(kernel, spectral)
    v = jnp.zeros(kernel.size // kernel.shape[-1], kernel.dtype) if v is None else v
    vectors = {"u": jnp.asarray(u), "v": v}

    def call(kernel, vectors, train):
        variables = {"params": {"kernel": kernel}, "spectral": vectors}
        return layer.apply(variables, train=train, mutable=["spectral"] if train else [])

    def score(kernel, vectors):
        normalized, new = call(kernel, vectors, True)
        return jnp.sum(normalized * cotangent), (normalized, new["spectral"])

    results = {f"{scheme}/eval/Wn": layout.weight(call(kernel, vectors, False)[0])}
    for number in (1, 2, 3):
        gradient, (normalized, vectors) = jax.grad(score, has_aux=True)(kernel, vectors)
        results |= {
            f"{scheme}/train{number}/Wn": layout.weight(normalized),
            f"{scheme}/train{number}/grad_W": layout.weight(gradient),
            f"{scheme}/train{number}/u": vectors["u"],
            f"{scheme}/train{number}/v": layout.their_v(vectors["v"]),
        }
    return results


def _largest_singular_value(layout: _Layout, arrays: dict) -> jax.Array:
    """What many iterations arrive at."""
    matrix = layout.matrix(arrays["W"])
    u, v = jax.lax.fori_loop(
        0, 3000, lambda _, vectors: power_iteration(matrix, vectors[0]), power_iteration(matrix, arrays["u_unit"])
    )
    return spectral_sigma(matrix, u, v)


def _two_singular_values(layout: _Layout, arrays: dict) -> dict[str, jax.Array]:
    matrix = layout.matrix(arrays["W"])
    us = jnp.concatenate([arrays["u0"], arrays["ajbrock/two_svs/u1_in"]])
    us, vs = power_iterations(matrix, us)
    sigmas = [spectral_sigma(matrix, u, v) for u, v in zip(us, vs, strict=True)]
    results = {"u0": us[0], "u1": us[1], "sv0": sigmas[0], "sv1": sigmas[1], "Wn": arrays["W"] / sigmas[0]}
    return {f"ajbrock/two_svs/{key}": value for key, value in results.items()}


def _add_sigmas(case: Case, results: dict) -> None:
    """What the weights were in fact divided by."""
    weight = np.asarray(case.input("W"), np.float64)
    for key in [key for key in results if key.endswith("/Wn")]:
        normalized = np.asarray(results[key], np.float64)
        results[f"{key.removesuffix('Wn')}sigma"] = np.sum(weight * weight) / np.sum(weight * normalized)
