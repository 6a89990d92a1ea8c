"""Batch normalization of every kind against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norms import (
    BatchNorm,
    ConditionalBatchNorm,
    LinearConditionalBatchNorm,
    SampleNorm,
    SelfModulatedBatchNorm,
)

LABELS = np.asarray([2, 0, 2])


def _normal(*shape):
    return np.random.default_rng(sum(shape)).normal(1, 2, size=shape).astype(np.float32)


X, Y = _normal(3, 4, 5, 2), _normal(3, 6)


def _standardized(x, eps, axes=(0, 1, 2)):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _random(tree):
    """The tree with random numbers; variances above 0."""
    return jax.tree.map(lambda leaf: np.abs(_normal(*leaf.shape)) + 0.1, tree)


def _train(layer, variables, *inputs, also=()):
    mutable = [name for name in (*variables, *also) if name != "params"]
    return program(lambda: layer.apply(variables, *inputs, train=True, mutable=mutable))()


@pytest.mark.parametrize("unbiased", [True, False])
def test_training_and_evaluation(unbiased):
    layer = BatchNorm(momentum=0.3, eps=0.1, unbiased=unbiased)
    variables = _random(layer.init(jax.random.key(0), X))
    params, stats = variables["params"], variables["batch_stats"]
    y, new = _train(layer, variables, X)
    np.testing.assert_allclose(y, _standardized(X, 0.1) * params["scale"] + params["bias"], rtol=1e-4, atol=1e-5)
    moments = {"mean": X.mean((0, 1, 2)), "var": X.var((0, 1, 2), ddof=int(unbiased))}
    for name, moment in moments.items():
        np.testing.assert_allclose(new["batch_stats"][name], 0.7 * stats[name] + 0.3 * moment, rtol=1e-5)
    expected = (X - stats["mean"]) / np.sqrt(stats["var"] + 0.1) * params["scale"] + params["bias"]
    np.testing.assert_allclose(program(layer.apply)(variables, X), expected, rtol=1e-4, atol=1e-5)


def test_the_moments_of_the_batch_can_be_collected():
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), X, train=True)
    assert set(variables) == {"params", "batch_stats"}
    _, new = _train(layer, variables, X, also=["batch_moments"])
    np.testing.assert_allclose(new["batch_moments"]["mean"], X.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(new["batch_moments"]["var"], X.var((0, 1, 2), ddof=1), rtol=1e-5)
    assert jax.tree.structure(new["batch_moments"]) == jax.tree.structure(new["batch_stats"])


def test_initialization_in_training_mode_moves_nothing():
    stats = BatchNorm().init(jax.random.key(0), X, train=True)["batch_stats"]
    assert not np.any(stats["mean"]) and np.all(stats["var"] == 1)


def test_vectors_without_scale_and_bias():
    layer = BatchNorm(use_scale=False, use_bias=False)
    variables = layer.init(jax.random.key(0), Y)
    y, _ = _train(layer, variables, Y)
    np.testing.assert_allclose(y, _standardized(Y, 1e-5, (0,)), rtol=1e-4, atol=1e-5)
    assert "params" not in variables


def test_a_single_number_per_channel_stays_finite():
    layer = BatchNorm()
    y, new = _train(layer, layer.init(jax.random.key(0), Y[:1]), Y[:1])
    assert not np.any(y) and np.all(np.isfinite(new["batch_stats"]["var"]))


def test_statistics_of_low_precision_are_float32():
    layer = BatchNorm()
    x = jnp.asarray(X + 30, jnp.bfloat16)
    y, new = _train(layer, layer.init(jax.random.key(0), x), x)
    assert y.dtype == jnp.bfloat16 and new["batch_stats"]["mean"].dtype == jnp.float32
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(y.astype(np.float32), _standardized(exact, 1e-5), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.1 * exact.mean((0, 1, 2)), rtol=1e-5)


def test_derivatives_in_training():
    """First and second, as gradient penalties of discriminators with batch normalization need them."""
    layer = BatchNorm()
    stats = {"mean": np.zeros(2), "var": np.ones(2)}

    def function(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return layer.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    check_derivatives(function, _normal(4, 3, 2), _normal(2), _normal(2), tolerance=1e-5)


def test_conditional():
    layer = ConditionalBatchNorm(num_classes=4, eps=0.1)
    variables = layer.init(jax.random.key(0), X, LABELS)
    table = np.asarray(variables["params"]["embed"]["embedding"])
    assert table.shape == (4, 4) and not np.any(table[:, 2:]) and 0 < np.max(np.abs(table[:, :2] - 1)) < 0.1
    variables = _random(variables)
    table = variables["params"]["embed"]["embedding"]
    expected = _standardized(X, 0.1) * table[LABELS, None, None, :2] + table[LABELS, None, None, 2:]
    one_hot = np.eye(4, dtype=np.float32)[LABELS]
    for labels in (LABELS, one_hot):
        np.testing.assert_allclose(_train(layer, variables, X, labels)[0], expected, rtol=1e-4, atol=1e-5)


def test_linear_conditional():
    layer = LinearConditionalBatchNorm(eps=0.1)
    variables = _random(layer.init(jax.random.key(0), X, Y))
    gain, offset = (Y @ variables["params"][name]["kernel"] for name in ("gain", "offset"))
    modulate = lambda x_hat: x_hat * (1 + gain[:, None, None]) + offset[:, None, None]
    y, new = _train(layer, variables, X, Y)
    np.testing.assert_allclose(y, modulate(_standardized(X, 0.1)), rtol=1e-4, atol=1e-4)
    plain, _ = _train(LinearConditionalBatchNorm(statistics="none"), {"params": variables["params"]}, X, Y)
    np.testing.assert_allclose(plain, modulate(X), rtol=1e-4, atol=1e-4)
    y, new = _train(LinearConditionalBatchNorm(statistics="instance", eps=0.1, momentum=1.0), variables, X, Y)
    np.testing.assert_allclose(y, modulate(_standardized(X, 0.1, (1, 2))), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(new["batch_stats"]["var"], X.var((1, 2), ddof=1).mean(0), rtol=1e-5)


def test_linear_conditional_with_spectral_normalization():
    layer = LinearConditionalBatchNorm(spectral=SpectralNorm(iterations=10))
    variables = layer.init(jax.random.key(0), X, Y)
    assert set(variables["spectral"]) == {"gain", "offset"}
    y, _ = _train(layer, variables, X, Y)
    sigma = {name: np.linalg.svd(variables["params"][name]["kernel"])[1][0] for name in ("gain", "offset")}
    gain, offset = (Y @ (variables["params"][name]["kernel"] / sigma[name]) for name in ("gain", "offset"))
    expected = _standardized(X, 1e-5) * (1 + gain[:, None, None]) + offset[:, None, None]
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("hidden", "shared"), [(8, True), (8, False), (None, True)])
def test_self_modulated(hidden, shared):
    layer = SelfModulatedBatchNorm(hidden=hidden, shared_hidden=shared)
    variables = layer.init(jax.random.key(0), X, Y)
    biases = {name: np.asarray(leaves["bias"]) for name, leaves in variables["params"].items()}
    assert np.all(biases.pop("gamma") == 1) and not any(np.any(bias) for bias in biases.values())
    params = _random(variables["params"])
    dense = lambda name, x: x @ params[name]["kernel"] + params[name]["bias"]
    relu = lambda name: np.maximum(dense(name, Y), 0)
    branches = {(8, True): ("hidden", "hidden"), (8, False): ("gamma_hidden", "beta_hidden")}.get((hidden, shared))
    assert set(params) == {"gamma", "beta", *(branches or ())}
    inputs = [relu(name) for name in branches] if branches else [Y, Y]
    gamma, beta = dense("gamma", inputs[0]), dense("beta", inputs[1])
    y, _ = _train(layer, {**variables, "params": params}, X, Y)
    expected = _standardized(X, 1e-3) * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("per_channel", "axes"), [(True, (1, 2)), (False, (1, 2, 3))])
def test_statistics_of_each_sample(per_channel, axes):
    layer = SampleNorm(per_channel, eps=0.1)
    params = _random(layer.init(jax.random.key(0), X))["params"]
    expected = _standardized(X, 0.1, axes) * params["scale"] + params["bias"]
    np.testing.assert_allclose(program(layer.apply)({"params": params}, X), expected, rtol=1e-4, atol=1e-5)


def test_other_statistics():
    with pytest.raises(ValueError, match="^statistics: found 'group', allowed: batch, instance, none"):
        LinearConditionalBatchNorm(statistics="group").init(jax.random.key(0), X, Y)


def test_labels_that_are_missing():
    with pytest.raises(ValueError, match="^labels: found None"):
        ConditionalBatchNorm(num_classes=4).init(jax.random.key(0), X, None)
