import numpy as np
import pytest
from scipy.spatial.distance import cdist

from flaxgan.metrics.precision_recall import covered_by_manifold, neighbour_radii, precision_recall


def _sets(real: int = 60, fake: int = 45, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(real, dim)), rng.normal(size=(fake, dim)) * 0.8 + 0.5


def _slow_radii(features: np.ndarray, k: int) -> np.ndarray:
    radii = []
    for i, x in enumerate(features):
        others = sorted(np.linalg.norm(x - y) for j, y in enumerate(features) if j != i)
        radii.append(others[k - 1])
    return np.array(radii)


def _slow_covered(probes: np.ndarray, manifold: np.ndarray, radii: np.ndarray) -> np.ndarray:
    return np.array([any(np.linalg.norm(x - y) <= r for y, r in zip(manifold, radii)) for x in probes])


@pytest.mark.parametrize("batch_size", [7, 45, 4096])
@pytest.mark.parametrize("k", [1, 4])
def test_radii_and_coverage_are_those_of_the_definition(k, batch_size):
    real, fake = _sets()
    radii = neighbour_radii(real, k=k, batch_size=batch_size)
    np.testing.assert_allclose(radii, _slow_radii(real, k), rtol=1e-12)
    covered = covered_by_manifold(fake, real, manifold_radii=radii, batch_size=batch_size)
    np.testing.assert_array_equal(covered, _slow_covered(fake, real, _slow_radii(real, k)))
    assert 0 < covered.mean() < 1


@pytest.mark.parametrize("batch_size", [16, 4096])
def test_precision_is_of_the_fakes_and_recall_of_the_reals(batch_size):
    real, fake = _sets()
    result = precision_recall(real, fake, k=3, batch_size=batch_size)
    assert result.precision == _slow_covered(fake, real, _slow_radii(real, 3)).mean()
    assert result.recall == _slow_covered(real, fake, _slow_radii(fake, 3)).mean()
    assert result == precision_recall(fake, real, k=3)[::-1]


def test_narrow_types_are_computed_in_float64():
    real, fake = (features.astype(np.float16) for features in _sets())
    assert precision_recall(real, fake) == precision_recall(real.astype(np.float64), fake.astype(np.float64))
    integers = np.array([[0], [200], [255]], np.uint8)
    np.testing.assert_array_equal(neighbour_radii(integers, k=2), [255, 200, 255])


def test_identical_sets_are_perfect_and_distant_ones_the_opposite():
    real, _ = _sets()
    assert precision_recall(real, real[::-1]) == (1, 1)
    assert precision_recall(real, real + 100) == (0, 0)


def test_few_points_repeated_have_precision_without_recall():
    real, _ = _sets()
    assert precision_recall(real, np.repeat(real[:3], 15, axis=0)) == (1, 3 / 60)


def test_duplicates_far_from_the_origin_are_at_distance_exactly_zero():
    point = np.random.default_rng(0).normal(size=(1, 40)) * 10 + 1e4
    collapsed = np.repeat(point, 30, axis=0)
    np.testing.assert_array_equal(neighbour_radii(collapsed, k=3), 0)
    assert precision_recall(collapsed, collapsed[:20]) == (1, 1)


def test_near_duplicates_far_from_the_origin_keep_their_distances():
    features = np.random.default_rng(0).normal(size=(50, 10)) * 1e-3 + 1e4
    expected = np.sort(cdist(features, features), axis=1)[:, 3]
    np.testing.assert_allclose(neighbour_radii(features, k=3, batch_size=32), expected, rtol=1e-9)


def test_every_degree_of_nearness_in_one_set_keeps_its_distances():
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(6, 10)) + 100, 8, axis=0)
    clusters = centres + np.repeat(rng.normal(size=(12, 10)), 4, axis=0) * 1e-4
    features = np.concatenate([clusters + rng.normal(size=clusters.shape) * 1e-9, centres, centres])
    expected = np.sort(cdist(features, features), axis=1)
    for k in (1, 3, 7, 20):
        np.testing.assert_allclose(neighbour_radii(features, k=k, batch_size=64), expected[:, k], rtol=1e-7)


def test_a_probe_on_the_edge_of_a_ball_is_inside():
    line = np.array([[0.0], [3.0], [10.0]])
    radii = neighbour_radii(line, k=1)
    np.testing.assert_array_equal(radii, [3, 3, 7])
    covered = covered_by_manifold(np.array([[-3.0], [-3.001], [17.0]]), line, manifold_radii=radii)
    np.testing.assert_array_equal(covered, [True, False, True])


def test_wrong_arguments_are_refused_by_name():
    real, fake = _sets()
    with pytest.raises(ValueError, match="k: found 3 with 3 fake_features, allowed: 1 to 2"):
        precision_recall(real, fake[:3])
    with pytest.raises(ValueError, match="k: found 3 with 1 real_features, allowed: 1 to N - 1 with 2 samples or more"):
        precision_recall(real[:1], fake)
    with pytest.raises(ValueError, match="k: found 0 with 60 real_features"):
        precision_recall(real, fake, k=0)
    with pytest.raises(ValueError, match="fake_features: found width 5, allowed: 6"):
        precision_recall(real, fake[:, :5])
    with pytest.raises(ValueError, match="batch_size: found 0, allowed: at least 1"):
        precision_recall(real, fake, batch_size=0)
    with pytest.raises(ValueError, match=r"manifold_radii: found shape \(45,\), allowed: \(60,\)"):
        covered_by_manifold(fake, real, manifold_radii=np.ones(45))
    with pytest.raises(ValueError, match="probes: found width 5, allowed: 6"):
        covered_by_manifold(fake[:, :5], real, manifold_radii=np.ones(60))
