"""The metrics' formulas against stylegan2/metrics.npz.

Statistics are float64 whatever the precision of the run; what float32 changes there are inputs, which are stored in it.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_networks
from goldens import Case, Suite

from flaxgan.convert import state_dict
from flaxgan.metrics.frechet import FeatureStatistics, frechet_distance, frechet_distance_of_features
from flaxgan.metrics.inception_score import inception_score, probabilities_of_logits
from flaxgan.metrics.interpolation import lerp, slerp
from flaxgan.metrics.kernel import kernel_distance
from flaxgan.metrics.perceptual_path import (
    PathNetworks,
    PathOptions,
    PathPairs,
    path_distances,
    percentile_limits,
    reduce_path_distances,
    squared_feature_distance,
)
from flaxgan.metrics.precision_recall import covered_by_manifold, neighbour_radii, precision_recall
from flaxgan.ops.image import to_float, to_uint8, to_uint8_rounded

_STATISTICS = 1e-6
_REFERENCE_IN_FLOAT32 = 1e-5
_EXACT = {"tolerance": 0.5, "scale": 1.0}  # Of integers: the smallest difference, 1, is too large.

suite = Suite(__name__, float32=1e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("fid_features_*", inputs=["real", "gen"])
def run_fid_of_features(case: Case):
    """Besides 1e-6 relative, and 1e-7 absolute, 1e-7 of the traces where a set has no more samples than features.

    The golden takes a general matrix square root, which loses half of float64's digits on singular matrices (up to 3e-8
    of the traces for random sets of 5 to 20 samples of width 16 to 64); ours does not.
    """
    real, fake = case.input("real"), case.input("gen")
    case.check("dim, n_real and n_gen", (len(real), len(fake)) == (case.option("n_real"), case.option("n_gen")))
    case.check("dim", real.shape[1] == fake.shape[1] == case.option("dim"))
    traces = 0.0
    for name, features in (("real", real), ("gen", fake)):
        statistics = FeatureStatistics.empty(features.shape[1])
        for batch in np.array_split(features, 3):
            statistics = statistics.update(batch) if len(batch) else statistics
        case.compare(f"mu_{name}", statistics.mean, tolerance=_STATISTICS)
        case.compare(f"sigma_{name}", statistics.covariance, tolerance=_STATISTICS)
        traces += np.trace(statistics.covariance)
    singular = min(len(real), len(fake)) <= real.shape[1]
    _compare_fid(case, frechet_distance_of_features(real, fake), noise=1e-7 * max(1, traces if singular else 1))


@suite.kind("fid_mu_sigma_*", inputs=["mu_*", "sigma_*"])
def run_fid_of_moments(case: Case):
    covariances = {"real_covariance": case.input("sigma_real"), "fake_covariance": case.input("sigma_gen")}
    case.check("dim", len(covariances["real_covariance"]) == case.option("dim"))
    _compare_fid(case, frechet_distance(case.input("mu_real"), case.input("mu_gen"), **covariances), noise=1e-7)


def _compare_fid(case: Case, distance: float, *, noise: float) -> None:
    bound = {"tolerance": _STATISTICS * abs(distance) + noise, "scale": 1.0}
    case.compare("fid", distance, **bound)
    for name in ("fid_float64", "fid_symmetric_eig"):
        if name in case.options:
            case.compare_option(name, distance, **bound)


@suite.kind("kid_*", inputs=["real", "gen", "*_subset_idx"])
def run_kid(case: Case):
    """The reference's float32 result is held to 1e-5 of the kernel's mean: it is a difference of such means."""
    real, fake = case.input("real"), case.input("gen")
    subsets = {"real_subsets": case.input("real_subset_idx"), "fake_subsets": case.input("gen_subset_idx")}
    size = min(len(real), len(fake), case.option("max_subset_size"))
    case.check("subset_size", size == case.option("subset_size"))
    shape = (case.option("num_subsets"), size)
    case.check("shape of the subsets", all(indices.shape == shape for indices in subsets.values()))
    distance = kernel_distance(real, fake, **subsets)
    terms = max(abs(distance), np.mean(np.abs(real.astype(np.float64) @ fake.T / real.shape[1] + 1) ** 3))
    case.compare("kid", distance, tolerance=_STATISTICS)
    case.compare_option("kid_float64", distance, tolerance=_STATISTICS)
    case.compare("kid_reference_f32", distance, tolerance=_REFERENCE_IN_FLOAT32, scale=terms)
    case.compare_option("kid_reference_f32_float64", distance, tolerance=_REFERENCE_IN_FLOAT32, scale=terms)


@suite.kind("is_*", inputs=["logits"])
def run_inception_score(case: Case):
    """The reference's float32 spread is held to 1e-5 of its mean, whose rounding it has."""
    logits = case.input("logits")
    case.check("num_gen", len(logits) == case.option("num_gen"))
    probabilities = probabilities_of_logits(logits)
    score = inception_score(probabilities, num_splits=case.option("num_splits"))
    case.compare("probs", probabilities, tolerance=_STATISTICS)
    case.compare("split_scores", score.split_scores, tolerance=_STATISTICS)
    for name, value in (("is_mean", score.mean), ("is_std", score.std)):
        case.compare(name, value, tolerance=_STATISTICS)
        case.compare_option(f"{name}_float64", value, tolerance=_STATISTICS)
        bound = {"tolerance": _REFERENCE_IN_FLOAT32, "scale": score.mean}
        case.compare(f"{name}_reference_f32", value, **bound)
        case.compare_option(f"{name}_reference_f32_float64", value, **bound)


@suite.kind("pr_*", inputs=["real", "gen"])
def run_precision_recall(case: Case):
    real, fake, k = case.input("real"), case.input("gen"), case.option("nhood_size")
    for batch_size in (case.option("row_batch_size"), case.option("col_batch_size")):
        real_radii = neighbour_radii(real, k=k, batch_size=batch_size)
        fake_radii = neighbour_radii(fake, k=k, batch_size=batch_size)
        fake_covered = covered_by_manifold(fake, real, manifold_radii=real_radii, batch_size=batch_size)
        real_covered = covered_by_manifold(real, fake, manifold_radii=fake_radii, batch_size=batch_size)
        case.compare("radii_real", real_radii, tolerance=_STATISTICS)
        case.compare("radii_gen", fake_radii, tolerance=_STATISTICS)
        case.compare("gen_covered", fake_covered.astype(np.int32), **_EXACT)
        case.compare("real_covered", real_covered.astype(np.int32), **_EXACT)
        result = precision_recall(real, fake, k=k, batch_size=batch_size)
        for name in ("precision", "recall"):
            case.compare(name, getattr(result, name), tolerance=1e-7)
            case.compare_option(f"{name}_float64", getattr(result, name), tolerance=1e-15)


@suite.kind("ppl_interp*", inputs=["a", "b", "t"])
def run_interpolation(case: Case):
    a, b, t = case.input("a"), case.input("b"), case.input("t")
    case.compare("slerp", slerp(a, b, t))
    case.compare("slerp_eps", slerp(a, b, t + case.option("epsilon", 1e-4)))
    case.compare("slerp_t0", slerp(a, b, np.zeros_like(t)))
    case.compare("lerp", lerp(a, b, t))


@suite.kind("ppl_lpips*", inputs=["lpips_*"])
def run_feature_distance(case: Case):
    begin, end = case.input("lpips_t0"), case.input("lpips_t1")
    case.compare("dist", squared_feature_distance(begin, end, epsilon=case.option("epsilon")))


@suite.kind("ppl_reduce_*", inputs=["dist"])
def run_reduction(case: Case):
    distances = case.input("dist")
    low, high = percentile_limits(distances, low_percentile=1.0, high_percentile=99.0)
    case.compare("lo", low, tolerance=_STATISTICS)
    case.compare("hi", high, tolerance=_STATISTICS)
    length = reduce_path_distances(distances)
    case.compare("ppl", length, tolerance=_STATISTICS)
    case.compare_option("ppl_float64", length, tolerance=_STATISTICS)


@suite.kind("ppl_sampler*", inputs=["G/*", "noise/*", "P_*", "t", "z0", "z1", "c"])
def run_sampler(case: Case):
    """5e-2 in float32, for a finite difference over a step of 1e-4; 1e-5 in float64."""
    config, epsilon = case.option("G"), case.option("epsilon")
    generator = reference_networks.generator(config)
    noise = case.inputs("noise/")
    case.check("noise_order", sorted(noise) == sorted(case.option("noise_order")))
    params, buffers = state_dict.to_flax(case.inputs("G/") | noise)
    variables = {"params": params, "buffers": buffers}
    pairs = PathPairs(*(jnp.asarray(case.input(key)) for key in ("z0", "z1", "t")))
    pairs = pairs._replace(positions=pairs.positions.reshape(-1))
    labels = case.input("c") if config["c_dim"] else None
    if labels is None:
        case.check("c is empty", case.optional_input("c") is None or case.input("c").size == 0)
    size = config["img_resolution"]
    case.check("crop_rows", case.option("crop_rows") == (size // 8 * 3, size // 8 * 7))
    case.check("crop_cols", case.option("crop_cols") == (size // 8 * 2, size // 8 * 6))

    # Jitted here and not as a whole, so that all kinds of paths share two programs.
    map_latents = jax.jit(lambda z, labels: generator.apply(variables, z, labels, method="map"))
    synthesize = jax.jit(lambda ws: generator.apply(variables, ws, noise_mode="const", method="synthesize"))
    for key in case.keys("dist_*"):
        _, space, sampling, view = key.split("_")
        case.check(f"view of {key}", view in ("full", "crop"))
        features = functools.partial(_projected, projection=case.input(f"P_{view}"))
        options = PathOptions(epsilon=epsilon, space=space, sampling=sampling, crop=view == "crop")
        networks = PathNetworks(map_latents, synthesize, features)
        distances = path_distances(networks, pairs, labels=labels, options=options)
        case.compare(key, distances, tolerance={"float32": 5e-2, "float64": 1e-5})


def _projected(images: jax.Array, projection: np.ndarray) -> jax.Array:
    """In the detector's place: all values, channels first, times a matrix."""
    return jnp.moveaxis(images, -1, 1).reshape(len(images), -1) @ projection


@suite.kind("uint8*", inputs=["img", "u8"])
def run_uint8(case: Case):
    images = case.input("img")
    case.compare("metric_uint8", to_uint8(images), **_EXACT)
    case.compare("snapshot_uint8", to_uint8_rounded(images), **_EXACT)
    case.compare("u8_to_float", to_float(case.input("u8")))
