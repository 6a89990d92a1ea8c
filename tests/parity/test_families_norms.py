"""Normalizations and batch statistics against families/norms.npz."""

import re
from collections.abc import Callable

import adain_kinds
import batch_norm_kinds
import jax
import jax.numpy as jnp
import pytest
from goldens import Case, Suite, nchw, nhwc, run_as_program

from flaxgan.nn.minibatch_discrimination import MinibatchDiscrimination
from flaxgan.ops.lrn import local_response_norm
from flaxgan.ops.minibatch_stddev import averaged_minibatch_stddev, minibatch_stddev
from flaxgan.ops.pixel_norm import normalize_2nd_moment

suite = Suite(__name__, float32=2e-5, float64=5e-7, shared_cases=["common"])
batch_norm_kinds.register(suite)
adain_kinds.register(suite)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("pixel_norm*", inputs=["tiny_x", "z"])
def run_pixel_norm(case: Case):
    x, cot = nhwc(case.shared("common/x1")), nhwc(case.shared("common/cot"))
    implementations = set(case.keys("*")) - {"tiny_x", "tiny", "z", "z_out", "grad_x"}
    y, grad_x = run_as_program(lambda: _with_gradient(normalize_2nd_moment, x, cot))
    for key in sorted(implementations):  # All have the one formula.
        case.compare(key, nchw(y))
    case.compare("grad_x", nchw(grad_x))
    case.compare("tiny", nchw(normalize_2nd_moment(jnp.asarray(nhwc(case.input("tiny_x"))))))
    case.compare("z_out", normalize_2nd_moment(jnp.asarray(case.input("z"))))


@suite.kind("lrn*", inputs=["x", "cot"], notes=["window"])
def run_lrn(case: Case):
    _compare_functions(case, {key: _lrn(key) for key in _functions_of(case)})


@suite.kind("mbstd*", inputs=["x", "cot"])
def run_minibatch_stddev(case: Case):
    _compare_functions(case, {key: _appended(_stddev(key)) for key in _functions_of(case)})


@suite.kind("mb_discrimination*", inputs=["f", "T", "log_weight_scale", "b", "cot"])
def run_minibatch_discrimination(case: Case):
    names = {"f": "f", "kernel": "T", "log_scale": "log_weight_scale", "bias": "b"}
    arrays = {name: case.input(key) for name, key in names.items()}
    features, kernel = arrays.pop("f"), arrays["kernel"]
    sizes = {"num_kernels": kernel.shape[1], "kernel_dim": kernel.shape[2]}
    forms = {
        "self_included/out": {},
        "self_excluded/out": {"include_self": False},
        "improved_gan/out_f": {"include_self": False, "weight_norm": True},
        "improved_gan_imagenet/mean_over_others": {"include_self": False, "mean": True},
    }

    def similarity(features, kernel, options):
        params = {**arrays, "kernel": kernel} if "weight_norm" in options else {"kernel": kernel}
        layer = MinibatchDiscrimination(**sizes, **options)
        return layer.apply({"params": params}, features)[:, features.shape[1] :]

    def all_forms(cot):
        results = {key: similarity(features, kernel, options) for key, options in forms.items()}
        for name in ("self_included", "self_excluded"):
            score = lambda *inputs, name=name: jnp.sum(similarity(*inputs, forms[f"{name}/out"]) * cot)
            gradients = jax.grad(score, argnums=(0, 1))(features, kernel)
            results |= dict(zip((f"{name}/grad_f", f"{name}/grad_T"), gradients, strict=True))
        return results

    for key, value in run_as_program(all_forms, case.input("cot")).items():
        case.compare(key, value)


def _functions_of(case: Case) -> list[str]:
    """The keys that name a function of x."""
    return [key for key in case.arrays if not case.is_input(key) and not key.endswith("_grad_x")]


def _compare_functions(case: Case, functions: dict[str, Callable]) -> None:
    """Compares all functions and their gradients, computed by one program."""
    x, cot = nhwc(case.input("x")), nhwc(case.input("cot"))
    results = run_as_program(lambda: {key: _with_gradient(function, x, cot) for key, function in functions.items()})
    for key, (y, grad_x) in results.items():
        case.compare(key, nchw(y))
        if f"{key}_grad_x" in case.arrays:
            case.compare(f"{key}_grad_x", nchw(grad_x))


def _with_gradient(function: Callable, x, cot):
    """function(x), and the gradient of the sum of function(x) * cot."""
    return function(x), jax.grad(lambda x: jnp.sum(function(x) * cot))(jnp.asarray(x))


def _lrn(key: str) -> Callable:
    """The normalization of "torch/size5_alpha0.0001_beta0.75_k1"."""
    form, _, numbers = key.partition("/")
    size, alpha, beta, k = re.fullmatch(r"size(.+)_alpha(.+)_beta(.+)_k(.+)", numbers).groups()
    options = {"size": int(size), "alpha": float(alpha), "beta": float(beta), "k": float(k)}
    return lambda x: local_response_norm(x, **options, average={"torch": True, "sumform": False}[form])


def _stddev(key: str) -> Callable:
    """The statistic of "theano/group2", "grouped/G4_F2" and so on."""
    if key.startswith("grouped/"):
        group_size, num_channels = map(int, re.fullmatch(r"grouped/G(\d+)_F(\d+)", key).groups())
        return lambda x: minibatch_stddev(x, group_size=group_size, num_channels=num_channels)
    averaging = {"pengge_all_per_pixel": "channels", "rosinality": "all"}.get(key) or key.removeprefix("theano/")
    return lambda x: averaged_minibatch_stddev(x, averaging=averaging)


def _appended(function: Callable) -> Callable:
    """The channels that a function appends to x."""
    return lambda x: function(x)[..., x.shape[3] :]
