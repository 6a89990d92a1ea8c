"""StyleGAN's mapping network, in what it does not share with `MappingNetwork`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from growing_networks import filled, run

from flaxgan.nn.joint_mapping import JointMappingNetwork

NETWORK = JointMappingNetwork(5, 3, 4, num_ws=2, num_layers=2, layer_features=7, embed_features=6)
Z = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
LABELS = jnp.array([2, 0, 1])


@functools.cache
def _variables():
    return filled(NETWORK, Z, LABELS)


def _formula(params, gain, scaled):
    x = np.concatenate([Z, params["embed"][np.asarray(LABELS)]], axis=1).astype(np.float64)
    x = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    for name in ("fc0", "fc1"):
        weight = params[name]["weight"] * (gain / np.sqrt(x.shape[1]) if scaled else 1)
        x = x @ (weight * 0.01) + params[name]["bias"] * 0.01
        x = np.where(x > 0, x, 0.2 * x)
    return x


@pytest.mark.parametrize("initializer", ["equalized", "he"])
def test_formula(initializer):
    """Latents and the labels' vectors are normalized as one, and the gain is in the weights."""
    params = _variables()["params"]
    assert params["embed"].shape == (3, 6) and params["fc0"]["weight"].shape == (11, 7)
    ws = run(NETWORK.clone(initializer=initializer), _variables(), Z, LABELS)
    expected = _formula(params, np.sqrt(2), initializer == "equalized")
    np.testing.assert_allclose(ws, np.repeat(expected[:, None], 2, axis=1), rtol=1e-4, atol=1e-6)


def test_average_and_truncation_are_those_of_every_mapping():
    keywords = {"update_w_avg": True, "truncation_psi": 0.5, "truncation_cutoff": 1, "mutable": ["buffers"]}
    plain = run(NETWORK, _variables(), Z, LABELS)
    truncated, updated = run(NETWORK, _variables(), Z, LABELS, **keywords)
    average = 0.995 * _variables()["buffers"]["w_avg"] + 0.005 * np.mean(plain[:, 0], axis=0)
    np.testing.assert_allclose(updated["buffers"]["w_avg"], average, rtol=1e-5)
    np.testing.assert_allclose(truncated[:, 0], average + 0.5 * (plain[:, 0] - average), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(truncated[:, 1], plain[:, 1])


def test_label_vectors_are_as_wide_as_the_latents_by_default():
    network = NETWORK.clone(embed_features=None)
    assert filled(network, Z, LABELS)["params"]["embed"].shape == (3, 5)


def test_wrong_latents_are_refused():
    with pytest.raises(ValueError, match="z: found shape"):
        jax.eval_shape(NETWORK.apply, _variables(), Z[:, :4], LABELS)
