"""The discriminator's last layer against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.projection import ProjectionHead

FEATURES = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
LABELS = np.asarray([1, 3, 1])


def test_projection():
    head = ProjectionHead(num_classes=4)
    params = program(head.init)(jax.random.key(0), FEATURES, LABELS)["params"]
    kernel, bias, table = params["linear"]["kernel"], params["linear"]["bias"] + 2, params["embed"]["embedding"]
    params["linear"]["bias"] = bias
    expected = (FEATURES @ kernel)[:, 0] + bias + np.sum(table[LABELS] * FEATURES, axis=1)
    for labels in (LABELS, np.eye(4, dtype=np.float32)[LABELS]):
        logits = head.apply({"params": params}, FEATURES, labels)
        np.testing.assert_allclose(logits, expected, rtol=1e-5)
    assert head.apply({"params": params}, jnp.asarray(FEATURES, jnp.bfloat16), LABELS).dtype == jnp.float32


def test_unconditional():
    head = ProjectionHead(use_bias=False)
    params = head.init(jax.random.key(0), FEATURES)["params"]
    assert jax.tree.map(jnp.shape, params) == {"linear": {"kernel": (5, 1)}}
    expected = (FEATURES @ params["linear"]["kernel"])[:, 0]
    np.testing.assert_allclose(head.apply({"params": params}, FEATURES, LABELS), expected, rtol=1e-5)


def test_spectral_normalization_of_both_weights():
    head = ProjectionHead(num_classes=4, use_bias=False, spectral=SpectralNorm(iterations=12))
    variables = program(head.init)(jax.random.key(0), FEATURES, LABELS)
    logits, _ = program(lambda: head.apply(variables, FEATURES, LABELS, train=True, mutable=["spectral"]))()
    kernel, table = (np.asarray(leaf) for leaf in jax.tree.leaves(variables["params"])[::-1])
    kernel, table = (weight / np.linalg.svd(weight)[1][0] for weight in (kernel, table))
    expected = (FEATURES @ kernel)[:, 0] + np.sum(table[LABELS] * FEATURES, axis=1)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def test_labels_that_are_missing():
    with pytest.raises(ValueError, match="^labels: found None"):
        ProjectionHead(num_classes=4).init(jax.random.key(0), FEATURES)
