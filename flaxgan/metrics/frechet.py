"""The Frechet distance between two sets of features, and the streaming statistics it is computed from."""

import dataclasses

import numpy as np

from flaxgan.metrics.feature_arrays import feature_matrix, feature_pair

# How far below zero, relative to the largest, an eigenvalue of a covariance may lie and still count as rounding:
# float32 covariances of rank-deficient sets reach about 1e-7.
_NEGATIVE_EIGENVALUE_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Count, mean and covariance of a set of features, in float64, that can be accumulated batch by batch.

        statistics = FeatureStatistics.empty(2048)
        for features in batches:
            statistics = statistics.update(features)

    Batches are merged through their own means (Chan et al. 1979), so a large common offset costs no digits, as it would
    with sums of raw squares.

    Attributes:
      count: number of samples seen.
      mean: float64 [F].
      scatter: sum over the samples of the outer product of their deviation from the mean, float64 [F, F].
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def empty(cls, feature_dim: int) -> "FeatureStatistics":
        """The statistics of no samples at all, `feature_dim` wide."""
        return cls(0, np.zeros(feature_dim), np.zeros((feature_dim, feature_dim)))

    @classmethod
    def of(cls, features: np.ndarray) -> "FeatureStatistics":
        """The statistics of features [N, F]."""
        features = feature_matrix(features, name="features")
        mean = features.mean(axis=0)
        deviation = features - mean
        return cls(len(features), mean, deviation.T @ deviation)

    def update(self, features: np.ndarray) -> "FeatureStatistics":
        """The statistics with one more batch of features [N, F] in them."""
        return self.merge(FeatureStatistics.of(features))

    def merge(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """The statistics of both sets together (for example those of two hosts)."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"other has features of width {other.mean.shape[0]}; allowed: {self.mean.shape[0]}")
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
          ValueError: if no sample was seen.
        """
        if self.count == 0:
            raise ValueError("FeatureStatistics has count 0; allowed: at least one sample")
        return self.scatter / self.count


def frechet_distance(
    real_mean: np.ndarray, fake_mean: np.ndarray, *, real_covariance: np.ndarray, fake_covariance: np.ndarray
) -> float:
    """The squared Frechet distance between two Gaussians; in Inception features this is the FID.

    |m_r - m_f|^2 + tr(S_r + S_f - 2 (S_f S_r)^(1/2)). With S = L L^T the trace of the square root is the sum of the
    singular values of L_r^T L_f, which stays exact when a covariance is rank-deficient (fewer samples than features),
    where a general matrix square root is not. The result can come out below zero by rounding (about 1e-12) and is not
    clipped.

    Args:
      real_mean: [F], any float type; computed in float64.
      fake_mean: [F].
      real_covariance: [F, F], symmetric positive semidefinite.
      fake_covariance: [F, F].

    Returns:
      The distance, in squared units of the features.

    Raises:
      ValueError: for other shapes, non-finite values, or a covariance that is no covariance.

    Reference: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
      equation 6; Dowson and Landau 1982.
    """
    real_mean, fake_mean = np.asarray(real_mean, np.float64), np.asarray(fake_mean, np.float64)
    if real_mean.ndim != 1 or real_mean.shape != fake_mean.shape:
        raise ValueError(f"real_mean and fake_mean have shapes {real_mean.shape}, {fake_mean.shape}; allowed: one [F]")
    for name, mean in (("real_mean", real_mean), ("fake_mean", fake_mean)):
        if not np.isfinite(mean).all():
            raise ValueError(f"{name} has non-finite values; allowed: finite values")
    real_covariance, real_root = _covariance_and_root(real_covariance, len(real_mean), name="real_covariance")
    fake_covariance, fake_root = _covariance_and_root(fake_covariance, len(fake_mean), name="fake_covariance")
    trace_of_root = np.linalg.svd(real_root.T @ fake_root, compute_uv=False).sum()
    shift = np.sum((real_mean - fake_mean) ** 2)
    return float(shift + np.trace(real_covariance) + np.trace(fake_covariance) - 2 * trace_of_root)


def frechet_distance_of_statistics(real: FeatureStatistics, fake: FeatureStatistics) -> float:
    """The squared Frechet distance between two accumulated statistics; see `frechet_distance`."""
    return frechet_distance(real.mean, fake.mean, real_covariance=real.covariance, fake_covariance=fake.covariance)


def frechet_distance_of_features(real_features: np.ndarray, fake_features: np.ndarray) -> float:
    """The squared Frechet distance between two sets of features [N, F] and [M, F]; see `frechet_distance`."""
    real_features, fake_features = feature_pair(real_features, fake_features)
    return frechet_distance_of_statistics(FeatureStatistics.of(real_features), FeatureStatistics.of(fake_features))


def _covariance_and_root(covariance: np.ndarray, dim: int, *, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The covariance in float64, and a matrix L with L L^T equal to it."""
    covariance = np.asarray(covariance, np.float64)
    if covariance.shape != (dim, dim):
        raise ValueError(f"{name} has shape {covariance.shape}; allowed: {(dim, dim)}")
    if not np.isfinite(covariance).all():
        raise ValueError(f"{name} has non-finite values; allowed: finite values")
    if not np.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6 * np.abs(covariance).max()):
        raise ValueError(f"{name} is not symmetric; allowed: a covariance matrix")
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    if eigenvalues[0] < -_NEGATIVE_EIGENVALUE_TOLERANCE * max(eigenvalues[-1], 0):
        raise ValueError(f"{name} has the eigenvalue {eigenvalues[0]}; allowed: a positive semidefinite matrix")
    # An eigenvalue of zero comes out as about 1e-16 of the largest, whose square root would be 1e-8 of it.
    rounding = dim * np.finfo(np.float64).eps * eigenvalues[-1]
    return covariance, eigenvectors * np.sqrt(np.where(eigenvalues > rounding, eigenvalues, 0))
