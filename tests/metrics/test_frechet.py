import numpy as np
import pytest
import scipy.linalg

from flaxgan.metrics.frechet import FeatureStatistics, frechet_distance, frechet_distance_of_features


def _features(seed: int, count: int, dim: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) + offset


def _by_matrix_square_root(real: np.ndarray, fake: np.ndarray) -> float:
    """The distance as the formula is written, with the general matrix square root."""
    real_covariance, fake_covariance = np.cov(real.T, ddof=0), np.cov(fake.T, ddof=0)
    root = scipy.linalg.sqrtm(fake_covariance @ real_covariance).real
    shift = np.sum((real.mean(0) - fake.mean(0)) ** 2)
    return shift + np.trace(real_covariance + fake_covariance - 2 * root)


@pytest.mark.parametrize("counts", [(40, 30), (200, 1000)])
def test_distance_is_that_of_the_matrix_square_root(counts):
    real, fake = _features(0, counts[0], 7), _features(1, counts[1], 7, offset=0.5)
    np.testing.assert_allclose(frechet_distance_of_features(real, fake), _by_matrix_square_root(real, fake), rtol=1e-10)


def test_gaussians_with_commuting_covariances_have_a_closed_form():
    real_scales, fake_scales = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 4.0])
    distance = frechet_distance(
        np.zeros(3),
        np.array([1.0, 2.0, 3.0]),
        real_covariance=np.diag(real_scales**2),
        fake_covariance=np.diag(fake_scales**2),
    )
    np.testing.assert_allclose(distance, 14 + np.sum((real_scales - fake_scales) ** 2), rtol=1e-14)


def test_rank_deficient_sets_lose_no_digits():
    # Two samples span one direction, so every quantity is that of two one-dimensional Gaussians.
    a, b = np.zeros((2, 50)), np.zeros((2, 50))
    a[1, 7], b[1, 7] = 2.0, 6.0
    np.testing.assert_allclose(frechet_distance_of_features(a, b), (3 - 1) ** 2 + (3 - 1) ** 2, rtol=1e-13)


def test_fewer_samples_than_features_lose_no_digits():
    real, fake = _features(0, 12, 40), _features(1, 10, 40)
    real_rows, fake_rows = ((x - x.mean(0)) / np.sqrt(len(x)) for x in (real, fake))
    # The covariances are A^T A and B^T B, and tr (A^T A B^T B)^(1/2) is the sum of the singular values of A B^T.
    trace_of_root = np.linalg.svd(real_rows @ fake_rows.T, compute_uv=False).sum()
    shift = np.sum((real.mean(0) - fake.mean(0)) ** 2)
    expected = shift + np.sum(real_rows**2) + np.sum(fake_rows**2) - 2 * trace_of_root
    np.testing.assert_allclose(frechet_distance_of_features(real, fake), expected, rtol=1e-12)


@pytest.mark.parametrize("count", [5, 300])
def test_identical_sets_are_at_distance_zero(count):
    features = _features(0, count, 24)
    assert abs(frechet_distance_of_features(features, features[::-1])) < 1e-10 * features.var(0).sum()


def test_distance_is_symmetric_and_a_single_sample_has_no_spread():
    real, one = _features(0, 30, 4), np.ones((1, 4))
    expected = np.sum((real.mean(0) - 1) ** 2) + real.var(0).sum()
    np.testing.assert_allclose(frechet_distance_of_features(real, one), expected, rtol=1e-12)
    np.testing.assert_allclose(frechet_distance_of_features(one, real), expected, rtol=1e-12)


def test_statistics_are_those_of_numpy_in_any_batching():
    features = _features(0, 101, 6, offset=1e4).astype(np.float32)
    statistics = FeatureStatistics.empty(6)
    for batch in np.array_split(features, [1, 7, 64]):
        statistics = statistics.update(batch)
    exact = features.astype(np.float64)
    assert statistics.count == 101 and statistics.mean.dtype == statistics.covariance.dtype == np.float64
    np.testing.assert_allclose(statistics.mean, exact.mean(0), rtol=1e-14)
    covariance = np.cov(exact.T, ddof=0)
    np.testing.assert_allclose(statistics.covariance, covariance, rtol=0, atol=1e-12 * np.abs(covariance).max())


def test_merging_is_the_same_as_updating_and_changes_neither_operand():
    first, second = _features(0, 20, 3), _features(1, 30, 3)
    one, other = FeatureStatistics.of(first), FeatureStatistics.of(second)
    merged = one.merge(other)
    np.testing.assert_allclose(merged.covariance, np.cov(np.concatenate([first, second]).T, ddof=0), rtol=1e-12)
    np.testing.assert_array_equal(one.scatter, FeatureStatistics.of(first).scatter)
    assert merged.merge(FeatureStatistics.empty(3)).count == 50
    assert FeatureStatistics.empty(3).merge(FeatureStatistics.empty(3)).count == 0


def test_wrong_statistics_are_refused_by_name():
    with pytest.raises(ValueError, match="count: found 0"):
        _ = FeatureStatistics.empty(3).covariance
    with pytest.raises(ValueError, match="other: found features of width 4, allowed: 3"):
        FeatureStatistics.empty(3).update(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="fake_features: found width 4"):
        frechet_distance_of_features(np.zeros((5, 3)), np.zeros((5, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fake_mean": np.zeros(4)}, "real_mean, fake_mean: found shapes"),
        ({"fake_mean": np.full(3, np.nan)}, "fake_mean: found non-finite values"),
        ({"real_covariance": np.eye(4)}, r"real_covariance: found shape \(4, 4\), allowed: \(3, 3\)"),
        ({"fake_covariance": np.triu(np.ones((3, 3)))}, "fake_covariance: found an asymmetric matrix"),
        ({"fake_covariance": -np.eye(3)}, "fake_covariance: found the eigenvalue -1.0"),
        ({"real_covariance": np.full((3, 3), np.inf)}, "real_covariance: found non-finite values"),
    ],
)
def test_wrong_moments_are_refused_by_name(change, message):
    arguments = {"fake_mean": np.zeros(3), "real_covariance": np.eye(3), "fake_covariance": np.eye(3)} | change
    with pytest.raises(ValueError, match=message):
        frechet_distance(np.zeros(3), **arguments)
