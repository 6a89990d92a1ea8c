import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.metrics.perceptual_path import (
    PathNetworks,
    PathOptions,
    PathPairs,
    draw_path_pairs,
    path_distances,
    percentile_limits,
    reduce_path_distances,
    squared_feature_distance,
)

_KINDS = list(itertools.product(("z", "w"), ("full", "end"), (False, True)))


def _map(z, labels):
    shift = 0 if labels is None else labels[:, None]
    w = jnp.tanh(z + shift)
    return jnp.stack([w, 2 * w], axis=1)  # [N, 2, Z]


def _synthesize(ws):
    n = len(ws)
    pixels = jnp.cos(ws.reshape(n, -1)[:, :4].sum(1)[:, None] * jnp.arange(1, 65) / 20)
    return jnp.broadcast_to(pixels.reshape(n, 8, 8, 1), (n, 8, 8, 3))


_NETWORKS = PathNetworks(_map, _synthesize, lambda images: images.reshape(len(images), -1) / 100)


def _slow_distance(z0, z1, t, label, options):
    """One path in NumPy float64, from the definition."""

    def w_of(z):
        w = np.tanh(z + label)
        return np.stack([w, 2 * w])

    def features(w):
        image = np.cos(w.reshape(-1)[:4].sum() * np.arange(1, 65) / 20).reshape(8, 8)
        if options.crop:
            image = image[3:7, 2:6]
        return np.repeat((image + 1) * 127.5 / 100, 3)

    def w_at(t):
        if options.space == "w":
            return (1 - t) * w_of(z0) + t * w_of(z1)
        a, b = z0 / np.linalg.norm(z0), z1 / np.linalg.norm(z1)
        angle = np.arccos(a @ b)
        return w_of((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))

    t = t if options.sampling == "full" else 0.0
    step = features(w_at(t)) - features(w_at(t + options.epsilon))
    return np.sum(step**2) / options.epsilon**2


def _pairs(count: int = 6) -> PathPairs:
    return draw_path_pairs(jax.random.key(0), count=count, z_dim=5)


@pytest.mark.parametrize(("space", "sampling", "crop"), _KINDS)
def test_distances_are_those_of_the_definition(space, sampling, crop):
    # A step as long as this keeps float32's rounding out of the comparison.
    options = PathOptions(epsilon=0.05, space=space, sampling=sampling, crop=crop)
    pairs, labels = _pairs(), np.linspace(-1, 1, 6)
    distances = path_distances(_NETWORKS, pairs, labels=jnp.asarray(labels, jnp.float32), options=options)
    paths = zip(*(np.asarray(x, np.float64) for x in pairs), labels)
    expected = [_slow_distance(*path, options) for path in paths]
    np.testing.assert_allclose(distances, expected, rtol=2e-3)


def test_jit_equals_eager_and_labels_may_be_absent():
    def distances(pairs):
        return path_distances(_NETWORKS, pairs, labels=None, options=PathOptions(epsilon=0.05))

    np.testing.assert_allclose(jax.jit(distances)(_pairs()), distances(_pairs()), rtol=1e-3)


def test_drawn_pairs_follow_their_distributions_and_the_key():
    pairs = draw_path_pairs(jax.random.key(3), count=4000, z_dim=2)
    for z in pairs[:2]:
        np.testing.assert_allclose([z.mean(), z.std()], [0, 1], atol=0.05)
    assert abs(np.corrcoef(pairs.z0.ravel(), pairs.z1.ravel())[0, 1]) < 0.05
    assert 0 <= pairs.positions.min() < 0.01 and 0.99 < pairs.positions.max() < 1
    again = draw_path_pairs(jax.random.key(3), count=4000, z_dim=2)
    chex.assert_trees_all_equal(again, pairs)


def test_feature_distance_is_a_sum_over_features():
    begin, end = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.5, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(squared_feature_distance(begin, end, epsilon=0.5), [1, 100], rtol=1e-6)
    with pytest.raises(ValueError, match="begin, end: found shapes"):
        squared_feature_distance(begin, end[:1], epsilon=0.5)


@pytest.mark.parametrize(("low", "high"), [(1, 99), (0, 100), (10, 60), (50, 50)])
def test_reduction_keeps_what_lies_within_the_order_statistics(low, high):
    distances = np.random.default_rng(0).permutation(np.arange(37.0) ** 2)
    ranked = np.sort(distances)
    first, last = int(np.floor(low / 100 * 36)), int(np.ceil(high / 100 * 36))
    assert percentile_limits(distances, low_percentile=low, high_percentile=high) == (ranked[first], ranked[last])
    result = reduce_path_distances(distances, low_percentile=low, high_percentile=high)
    np.testing.assert_allclose(result, ranked[first : last + 1].mean(), rtol=1e-14)


def test_reduction_by_default_drops_one_percent_at_both_ends():
    distances = np.ones(1001)
    distances[:5], distances[5:10] = 0, 1e9
    assert reduce_path_distances(distances) == 1
    assert reduce_path_distances(np.array([7.0])) == 7


@pytest.mark.parametrize(
    "change", [{"epsilon": 0.0}, {"epsilon": float("nan")}, {"space": "y"}, {"sampling": "middle"}]
)
def test_wrong_options_are_refused_by_name(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name}: found .*, allowed: "):
        PathOptions(**change)


def test_wrong_shapes_and_values_are_refused_by_name():
    z0, z1, positions = _pairs()
    with pytest.raises(ValueError, match="z0, z1, positions: found shapes"):
        path_distances(_NETWORKS, PathPairs(z0, z1[:3], positions), labels=None, options=PathOptions())
    with pytest.raises(ValueError, match="z0, z1, positions: found shapes"):
        path_distances(_NETWORKS, PathPairs(z0, z1, positions[:, None]), labels=None, options=PathOptions())
    with pytest.raises(ValueError, match="distances: found shape"):
        reduce_path_distances(np.array([]))
    with pytest.raises(ValueError, match="finite values"):
        reduce_path_distances(np.array([1, np.nan]))
    with pytest.raises(ValueError, match="low_percentile, high_percentile: found 60, 40"):
        reduce_path_distances(np.ones(3), low_percentile=60, high_percentile=40)
