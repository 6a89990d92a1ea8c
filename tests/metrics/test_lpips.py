"""LPIPS without its numbers, which tests/parity compares: identities of the distance, on a narrow VGG."""

import json

import goldens
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.metrics import lpips

SIZE = 20  # Not a multiple of 16: the pools drop rows.


@pytest.fixture(scope="module")
def params():
    """All layers of the network, with up to eight channels each."""
    rng = np.random.default_rng(0)
    tree = {"features": {}}
    for name, (outputs, inputs, *_) in ((n, s) for n, s in lpips.vgg_shapes().items() if n.endswith("weight")):
        inputs, outputs = inputs if inputs == 3 else inputs // 64, outputs // 64
        weight = rng.normal(size=(3, 3, inputs, outputs)) * np.sqrt(2 / (9 * inputs))
        bias = 0.1 * np.abs(rng.normal(size=outputs))
        tree["features"][name.split(".")[1]] = {"weight": weight, "bias": bias}
    for block, channels in enumerate((1, 2, 4, 8, 8)):
        tree[f"lin{block}"] = {"model": {"1": {"weight": rng.uniform(size=(1, 1, channels, 1))}}}
    return jax.tree.map(jnp.float32, tree)


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(0), (3, SIZE, SIZE, 3), minval=-1)


def test_shapes_are_the_published_ones():
    counts = json.loads((goldens.FOLDER / "families" / "param_counts.json").read_text())
    published = counts["torchvision vgg16 features"]
    sizes = {name: int(np.prod(shape)) for name, shape in lpips.vgg_shapes().items()}
    assert sum(sizes.values()) == published["total"] == 14_714_688
    assert len(sizes) == published["n_tensors"]
    layers = {name.split(".")[1] for name in sizes}
    by_layer = {layer: sizes[f"features.{layer}.weight"] + sizes[f"features.{layer}.bias"] for layer in layers}
    assert by_layer == published["by_top_module"]


def test_distance_is_a_symmetric_sum_that_is_zero_for_equal_images(params, images):
    a, b = images, images[::-1]
    layers, distance, back = program(
        lambda a, b: (
            lpips.layer_distances(params, a, b),
            lpips.lpips_distance(params, a, b),
            lpips.lpips_distance(params, b, a),
        )
    )(a, b)
    assert layers.shape == (3, 5) and np.all(layers[0] > 0)
    np.testing.assert_allclose(distance, np.sum(layers, axis=1), rtol=1e-6)
    np.testing.assert_allclose(distance, back, rtol=1e-5)
    assert distance[1] == 0  # The middle image is compared with itself.


def test_vectors_and_maps_give_the_distance(params, images):
    a, b = images[:2], images[1:]
    distance, vectors, where = program(
        lambda a, b: (
            lpips.lpips_distance(params, a, b),
            (lpips.lpips_vector(params, a), lpips.lpips_vector(params, b)),
            lpips.distance_map(params, a, b),
        )
    )(a, b)
    np.testing.assert_allclose(np.sum(np.square(vectors[0] - vectors[1]), axis=1), distance, rtol=1e-5)
    assert where.shape == (2, SIZE, SIZE)
    np.testing.assert_allclose(np.mean(where, axis=(1, 2)), distance, rtol=0.2)  # Equal only where sizes divide.


def test_map_shows_where_images_differ(params, images):
    a = images[:1]
    b = a.at[:, :3, :3].multiply(-1)
    where = program(lambda a, b: lpips.distance_map(params, a, b))(a, b)[0]
    assert np.mean(where[:3, :3]) > 3 * np.mean(where[12:, 12:])


def test_gradient_is_finite_where_all_features_are_zero(params, images):
    dark = jax.tree.map(lambda weight: -jnp.abs(weight), params["features"])
    dark = {**params, "features": dark}
    score = lambda a: jnp.sum(lpips.lpips_distance(dark, a, images[1:2]))
    assert np.isfinite(program(jax.grad(score))(jnp.ones((1, SIZE, SIZE, 3)))).all()


def test_refuses(params):
    with pytest.raises(ValueError, match="^images: found"):
        lpips.vgg_features(params, jnp.zeros((1, 8, 32, 3)))
    with pytest.raises(ValueError, match="^images: found"):
        lpips.vgg_features(params, jnp.zeros((1, 32, 32, 1)))
    with pytest.raises(ValueError, match="^b: found"):
        lpips.lpips_distance(params, jnp.zeros((2, 32, 32, 3)), jnp.zeros((1, 32, 32, 3)))
