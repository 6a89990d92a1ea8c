"""The detectors behind the scores, Inception-v3 and LPIPS, against families/inception_lpips.npz."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case, Suite, nchw, nhwc, run_as_program

from flaxgan.convert.detectors import detector_params
from flaxgan.metrics import inception, inception_shapes, lpips
from flaxgan.ops.resize import resize_bilinear

suite = Suite(__name__, float32=1e-4, float64=1e-6)
_LAYERS = {"float32": 2e-5, "float64": 5e-7}


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("resize*", inputs=["x", "size"])
def run_resize(case: Case):
    x, size = jnp.asarray(nhwc(case.input("x"))), tuple(int(side) for side in case.input("size"))
    for key, rule in (("torch_half_pixel", "half_pixel"), ("tf1_legacy", "legacy")):
        case.compare(key, nchw(resize_bilinear(x, size, rule=rule)), tolerance=_LAYERS)


@suite.kind("inception*", inputs=["images_u8_nhwc"])
def run_inception(case: Case):
    names = dict(case.option("names"))
    case.check("names", names == inception_shapes.weight_shapes())
    state = {name: det_weight(name, shape, case.option("salt")) for name, shape in names.items()}
    for key in case.keys("weight_probe/*"):
        case.compare(key, state[key.removeprefix("weight_probe/")].ravel()[:5], tolerance=1e-9)
    learned = [weight.size for name, weight in state.items() if not name.endswith(("running_mean", "running_var"))]
    case.compare_option("n_params", sum(learned), tolerance=1e-12)
    params = _in_precision(detector_params(state, shapes=names), case)
    for convention, results in run_as_program(_inception_results, params, case.input("images_u8_nhwc")).items():
        rows = results.pop("resized_rows_0_150_298")
        case.compare(f"{convention}/resized_rows_0_150_298", nchw(rows), tolerance=_LAYERS)
        for name, value in results.items():
            if f"{convention}/{name}" in case.arrays:
                case.compare(f"{convention}/{name}", value)


def _inception_results(params, images):
    """Convention -> result -> array, of everything that there is in the file."""
    results = {}
    for convention in inception.CONVENTIONS:
        output = inception.inception_output(params, images, convention=convention)
        x = inception.inception_input(jnp.asarray(images, output.features.dtype), convention=convention)
        resized = (x + 1) / 2 if convention == "pytorch_fid" else x * 128 + 128
        results[convention] = {
            "resized_rows_0_150_298": resized[:, jnp.array([0, 150, 298])],
            "pool3": output.features,
            "logits": output.logits + output.bias,
            "logits_no_bias": output.logits,
        }
        if convention == "pytorch_fid":
            layers = inception.inception_activations(params, x)
            means = {name: jnp.mean(layer, axis=(1, 2)) for name, layer in layers.items()}
            results[convention] |= {f"mean/{name}": mean for name, mean in means.items()}
            ends = ("max_pool_1", "max_pool_2", "Mixed_6e")
            results[convention] |= {f"block{index}_mean": means[name] for index, name in enumerate(ends)}
    return results


@suite.kind("lpips*", inputs=["a_u8_nhwc", "b_u8_nhwc"], notes=["input"])
def run_lpips(case: Case):
    names = dict(case.option("names"))
    case.check("names", names == lpips.vgg_shapes() | lpips.lin_shapes())
    state = {name: det_weight(name, shape, case.option("salt")) for name, shape in names.items()}
    case.check("lin", "abs" in case.option("lin"))
    state |= {name: np.abs(weight) for name, weight in state.items() if name.startswith("lin")}
    params = _in_precision(detector_params(state, shapes=names), case)
    a, b = (case.input(key).astype(case.dtype) / 127.5 - 1 for key in ("a_u8_nhwc", "b_u8_nhwc"))
    results = run_as_program(_lpips_results, params, a, b)
    gradient = results.pop("gradient")
    for key, value in results.items():
        case.compare(key, value)
    case.compare("grad_a_rms", np.sqrt(np.mean(np.square(gradient), axis=(1, 2, 3))))
    rows, columns = ((size - 8) // 2 for size in a.shape[1:3])
    case.compare("grad_a_center", nchw(gradient[:, rows : rows + 8, columns : columns + 8]))


def _lpips_results(params, a, b):
    gradient = jax.grad(lambda a: jnp.sum(lpips.lpips_distance(params, a, b)))(a)
    return {
        "distance": lpips.lpips_distance(params, a, b),
        "per_layer": lpips.layer_distances(params, a, b),
        "distance_no_lin": jnp.sum(lpips.layer_distances(params, a, b, weighted=False), axis=1),
        "spatial_mean": jnp.mean(lpips.distance_map(params, a, b), axis=(1, 2)),
        **{
            f"feat_mean/relu{index}": jnp.mean(features, axis=(1, 2))
            for index, features in enumerate(lpips.vgg_features(params, a), start=1)
        },
        "gradient": gradient,
    }


def det_weight(name: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    """The weights of the file by their names, as its README gives them."""
    random = np.random.RandomState(zlib.crc32((salt + name).encode("ascii")) & 0xFFFFFFFF)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        weight = random.uniform(0.5, 1.5, shape)
    elif leaf in ("running_mean", "bias"):
        weight = 0.1 * random.standard_normal(shape)
    elif leaf == "weight" and len(shape) == 1:
        weight = 1 + 0.1 * random.standard_normal(shape)
    else:
        weight = np.sqrt(2 / np.prod(shape[1:])) * random.standard_normal(shape)
    return weight.astype(np.float32)


def _in_precision(params, case: Case):
    return jax.tree.map(lambda weight: weight.astype(case.dtype), params)
