"""Minibatch discrimination against NumPy, one pair of images at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.nn.minibatch_discrimination import MinibatchDiscrimination, minibatch_similarity


def _slow(projections, include_self):
    batch, kernels, _ = projections.shape
    o = np.zeros((batch, kernels))
    for i in range(batch):
        for j in range(batch):
            if include_self or i != j:
                o[i] += np.exp(-np.abs(projections[i] - projections[j]).sum(axis=1))
    return o


@pytest.mark.parametrize("include_self", [True, False])
def test_similarity_is_the_sum_over_pairs(include_self):
    projections = np.random.default_rng(0).normal(size=(4, 3, 2))
    with jax.enable_x64(True):
        o = minibatch_similarity(jnp.asarray(projections), include_self=include_self)
    np.testing.assert_allclose(o, _slow(projections, include_self), rtol=1e-12)


def test_far_images_keep_their_digits_without_self():
    projections = jnp.asarray([[[0.0]], [[20.0]]])
    np.testing.assert_allclose(minibatch_similarity(projections, include_self=False), np.exp(-20), rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"include_self": False}, {"mean": True}, {"include_self": False, "mean": True}]
)
@pytest.mark.parametrize("weight_norm", [False, True])
def test_layer_appends_the_similarities(options, weight_norm):
    layer = MinibatchDiscrimination(3, 2, weight_norm=weight_norm, **options)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4, 5)).astype(np.float32)
    params = {"kernel": rng.normal(size=(5, 3, 2))}
    kernel, shift = params["kernel"], 0
    if weight_norm:
        params |= {"log_scale": rng.normal(size=(3, 2)), "bias": rng.normal(size=3)}
        kernel = kernel / np.sqrt(np.sum(kernel**2, axis=0)) * np.exp(params["log_scale"])
        shift = params["bias"]
    include_self = options.get("include_self", True)
    o = _slow(np.einsum("na,abc->nbc", features, kernel), include_self)
    o = o / (4 if include_self else 3) if options.get("mean") else o
    y = layer.apply({"params": jax.tree.map(jnp.float32, params)}, features)
    np.testing.assert_allclose(y, np.concatenate([features, o + shift], axis=1), rtol=2e-5)


def test_start_tells_equal_from_different_images():
    layer = MinibatchDiscrimination(8, 5)
    features = jax.random.normal(jax.random.key(0), (4, 64))
    variables = layer.init(jax.random.key(1), features)
    assert jax.tree.map(jnp.shape, variables["params"]) == {"kernel": (64, 8, 5)}
    varied = layer.apply(variables, features)[:, 64:]
    equal = layer.apply(variables, jnp.broadcast_to(features[:1], features.shape))[:, 64:]
    np.testing.assert_allclose(equal, 4, rtol=1e-5)
    assert 1.3 < np.mean(varied) < 3  # Neither saturated: distances are of order 1.


def test_parameters_of_the_form_with_weight_norm():
    layer = MinibatchDiscrimination(3, 2, weight_norm=True)
    params = layer.init(jax.random.key(0), jnp.ones((2, 4)))["params"]
    assert jax.tree.map(jnp.shape, params) == {"kernel": (4, 3, 2), "log_scale": (3, 2), "bias": (3,)}
    assert np.all(params["bias"] == -1) and not np.any(params["log_scale"])


def test_half_precision_features_are_compared_in_float32():
    layer = MinibatchDiscrimination(3, 2)
    features = jax.random.normal(jax.random.key(0), (4, 5), jnp.bfloat16)
    y, variables = layer.init_with_output(jax.random.key(1), features)
    assert y.dtype == jnp.bfloat16 and variables["params"]["kernel"].dtype == jnp.float32
    exact = layer.apply(variables, features.astype(jnp.float32))
    np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))


def test_equal_images_have_finite_second_derivatives():
    layer = MinibatchDiscrimination(3, 2)
    features = jnp.ones((3, 4))
    variables = layer.init(jax.random.key(0), features)
    score = lambda features: jnp.sum(layer.apply(variables, features)[:, 4:])
    assert np.isfinite(jax.jvp(jax.grad(score), (features,), (features,))[1]).all()


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match="^features: found shape"):
        MinibatchDiscrimination(3, 2).init(jax.random.key(0), jnp.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="^features: found a batch of 1"):
        MinibatchDiscrimination(3, 2, include_self=False, mean=True).init(jax.random.key(0), jnp.ones((1, 4)))
    with pytest.raises(ValueError, match="^projections: found"):
        minibatch_similarity(jnp.ones((2, 3)))
