"""The Frechet distance between two sets of features, and the streaming statistics from which it is computed."""

import dataclasses

import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.metrics.feature_arrays import feature_matrix, feature_pair

# A negative eigenvalue of a covariance counts as rounding up to this share of the largest eigenvalue; in float32
# covariances of rank-deficient sets it reaches about 1e-7.
_NEGATIVE_EIGENVALUE_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Count, mean and covariance of a set of features in float64, accumulated batch by batch.

    Batches of features are added one by one:

        statistics = FeatureStatistics.empty(2048)
        for features in batches:
            statistics = statistics.update(features)

    Batches are merged through their own means (Chan et al. 1979). Unlike sums of raw squares, this loses no digits to a
    large common offset.

    Attributes:
      count: number of samples.
      mean: float64 [F].
      scatter: sum over the samples of the outer product of their deviation from the mean, float64 [F, F].
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def empty(cls, feature_dim: int) -> "FeatureStatistics":
        """Returns the statistics of zero samples with `feature_dim` features."""
        return cls(0, np.zeros(feature_dim), np.zeros((feature_dim, feature_dim)))

    @classmethod
    def of(cls, features: np.ndarray) -> "FeatureStatistics":
        """Computes the statistics of features [N, F]."""
        features = feature_matrix(features, name="features")
        mean = features.mean(axis=0)
        deviation = features - mean
        return cls(len(features), mean, deviation.T @ deviation)

    def update(self, features: np.ndarray) -> "FeatureStatistics":
        """Returns the statistics of these samples and one more batch of features [N, F]."""
        return self.merge(FeatureStatistics.of(features))

    def merge(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """Returns the statistics of both sets together, for example those of two hosts."""
        if self.mean.shape != other.mean.shape:
            raise FieldError("other", Words(f"features of width {other.mean.shape[0]}"), str(self.mean.shape[0]))
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        between = np.outer(shift, shift) * (self.count * other.count / count)
        return FeatureStatistics(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> np.ndarray:
        """The covariance, divided by N (not N - 1), float64 [F, F].

        Raises:
          FieldError: if there are no samples.
        """
        if self.count == 0:
            raise FieldError("count", 0, "at least one sample")
        return self.scatter / self.count


def frechet_distance(
    real_mean: np.ndarray, fake_mean: np.ndarray, *, real_covariance: np.ndarray, fake_covariance: np.ndarray
) -> float:
    """Computes the squared Frechet distance between two Gaussians; in Inception features this is the FID.

    It is |m_r - m_f|^2 + tr(S_r + S_f - 2 (S_f S_r)^(1/2)). With S = L L^T the trace of the square root is the sum of
    the singular values of L_r^T L_f. Unlike a general matrix square root, this stays exact where a covariance is
    rank-deficient (fewer samples than features). Rounding can make the result negative (about -1e-12); it is not
    clipped.

    Args:
      real_mean: [F], any float type; computed in float64.
      fake_mean: [F].
      real_covariance: [F, F], symmetric positive semidefinite.
      fake_covariance: [F, F].

    Returns:
      The distance, in squared units of the features.

    Raises:
      FieldError: on other shapes, non-finite values, or a matrix that is not a covariance.

    References:
      Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
      equation 6; Dowson and Landau 1982.
    """
    real_mean, fake_mean = np.asarray(real_mean, np.float64), np.asarray(fake_mean, np.float64)
    if real_mean.ndim != 1 or real_mean.shape != fake_mean.shape:
        found = Words(f"shapes {real_mean.shape}, {fake_mean.shape}")
        raise FieldError("real_mean, fake_mean", found, "one shape [F]")
    for name, mean in (("real_mean", real_mean), ("fake_mean", fake_mean)):
        if not np.isfinite(mean).all():
            raise FieldError(name, Words("non-finite values"), "finite values")
    real_covariance, real_root = _covariance_and_root(real_covariance, len(real_mean), name="real_covariance")
    fake_covariance, fake_root = _covariance_and_root(fake_covariance, len(fake_mean), name="fake_covariance")
    trace_of_root = np.linalg.svd(real_root.T @ fake_root, compute_uv=False).sum()
    shift = np.sum((real_mean - fake_mean) ** 2)
    return float(shift + np.trace(real_covariance) + np.trace(fake_covariance) - 2 * trace_of_root)


def frechet_distance_of_statistics(real: FeatureStatistics, fake: FeatureStatistics) -> float:
    """Computes the squared Frechet distance between two accumulated statistics; see `frechet_distance`."""
    return frechet_distance(real.mean, fake.mean, real_covariance=real.covariance, fake_covariance=fake.covariance)


def frechet_distance_of_features(real_features: np.ndarray, fake_features: np.ndarray) -> float:
    """Computes the squared Frechet distance between features [N, F] and [M, F]; see `frechet_distance`."""
    real_features, fake_features = feature_pair(real_features, fake_features)
    return frechet_distance_of_statistics(FeatureStatistics.of(real_features), FeatureStatistics.of(fake_features))


def _covariance_and_root(covariance: np.ndarray, dim: int, *, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Checks a covariance and returns it in float64, with a matrix L so that L L^T equals it."""
    covariance = np.asarray(covariance, np.float64)
    if covariance.shape != (dim, dim):
        raise FieldError(name, Words(f"shape {covariance.shape}"), str((dim, dim)))
    if not np.isfinite(covariance).all():
        raise FieldError(name, Words("non-finite values"), "finite values")
    if not np.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6 * np.abs(covariance).max()):
        raise FieldError(name, Words("an asymmetric matrix"), "a covariance matrix")
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    if eigenvalues[0] < -_NEGATIVE_EIGENVALUE_TOLERANCE * max(eigenvalues[-1], 0):
        raise FieldError(name, Words(f"the eigenvalue {eigenvalues[0]}"), "a positive semidefinite matrix")
    # Rounding turns an eigenvalue of zero into about 1e-16 of the largest; its square root would be 1e-8.
    rounding = dim * np.finfo(np.float64).eps * eigenvalues[-1]
    return covariance, eigenvectors * np.sqrt(np.where(eigenvalues > rounding, eigenvalues, 0))
