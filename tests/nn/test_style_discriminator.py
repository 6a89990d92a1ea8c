"""Blocks and epilogue of the discriminator; whole networks are in tests/networks and tests/parity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.nn.mapping import MappingNetwork
from flaxgan.nn.style_discriminator import Discriminator, DiscriminatorBlock, DiscriminatorEpilogue, layer_names

X = jax.random.normal(jax.random.key(0), (4, 4, 6, 3))
IMAGE = jax.random.normal(jax.random.key(1), (4, 4, 6, 2))


def _random_variables(module, *inputs):
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(
    ("architecture", "is_first", "names"),
    [
        ("resnet", True, ("fromrgb", "conv0", "conv1", "skip")),
        ("resnet", False, ("conv0", "conv1", "skip")),
        ("skip", True, ("fromrgb", "conv0", "conv1")),
        ("skip", False, ("fromrgb", "conv0", "conv1")),
        ("orig", True, ("fromrgb", "conv0", "conv1")),
        ("orig", False, ("conv0", "conv1")),
    ],
)
def test_architectures(architecture, is_first, names):
    block = DiscriminatorBlock(3, 5, is_first=is_first, architecture=architecture)
    init = functools.partial(block.init_with_output, jax.random.key(0))
    image = IMAGE if "fromrgb" in names else None
    (x, image), variables = jax.eval_shape(init, None if is_first else X, image)
    assert layer_names(architecture, is_first=is_first) == names
    assert set(variables["params"]) == set(names)
    assert x.shape == (4, 2, 3, 5)
    assert image.shape == (4, 2, 3, 2) if architecture == "skip" else image is None


def test_epilogue_reads_its_features_with_a_dense_layer():
    epilogue = DiscriminatorEpilogue(3)
    variables = _random_variables(epilogue, X)
    logits, features = epilogue.apply(variables, X)
    assert (logits.shape, features.shape) == ((4,), (4, 3))
    params = variables["params"]
    assert params["conv"]["weight"].shape == (3, 3, 4, 3)  # one channel of standard deviations
    assert params["fc"]["weight"].shape == (4 * 6 * 3, 3)
    expected = np.asarray(features) @ params["out"]["weight"] / np.sqrt(3) + params["out"]["bias"]
    np.testing.assert_allclose(logits, expected[:, 0], rtol=1e-5, atol=1e-6)


def test_epilogue_projects_onto_labels():
    epilogue = DiscriminatorEpilogue(3, cmap_features=5, mbstd_num_channels=0)
    cmap = jax.random.normal(jax.random.key(2), (4, 5))
    variables = _random_variables(epilogue, X, None, cmap)
    logits, features = epilogue.apply(variables, X, None, cmap)
    params = variables["params"]["out"]
    out = np.asarray(features) @ params["weight"] / np.sqrt(3) + params["bias"]
    np.testing.assert_allclose(logits, np.sum(out * cmap, axis=1) / np.sqrt(5), rtol=1e-5, atol=1e-6)


def test_epilogue_is_float32_after_low_precision_blocks():
    logits, features = jax.eval_shape(
        DiscriminatorEpilogue(3).init_with_output, jax.random.key(0), X.astype(jnp.bfloat16)
    )[0]
    assert logits.dtype == features.dtype == jnp.float32


def test_frozen_layers_come_from_the_image_side():
    discriminator = Discriminator((16, 24, 3), architecture="skip")
    blocks = [f"{block}/{layer}" for block in ("b16", "b8") for layer in ("fromrgb", "conv0", "conv1")]
    assert discriminator.layers == tuple(blocks)


@pytest.mark.parametrize("shape", [(4, 8, 8, 1), (4, 8, 16, 3), (8, 8, 3)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"images: found shape .*, allowed: \[N, 8, 8, 3\]"):
        Discriminator((8, 8, 3)).init(jax.random.key(0), jnp.zeros(shape))


def test_conditional_network_needs_labels():
    mapping = MappingNetwork(z_dim=0, num_classes=3, w_dim=4, num_ws=None, w_avg_beta=None)
    with pytest.raises(ValueError, match="labels: found None"):
        Discriminator((8, 8, 3), mapping, channel_max=4).init(jax.random.key(0), jnp.zeros((4, 8, 8, 3)))
