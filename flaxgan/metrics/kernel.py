"""The kernel distance between two sets of features; in Inception features this is the KID."""

import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.metrics.feature_arrays import feature_pair


def kernel_distance(
    real_features: np.ndarray, fake_features: np.ndarray, *, real_subsets: np.ndarray, fake_subsets: np.ndarray
) -> float:
    """Computes the squared maximum mean discrepancy with a cubic kernel, averaged over given subsets.

    With k(x, y) = (x . y / F + 1)^3, the estimate of a subset of m samples is the mean of k over the m (m - 1) ordered
    pairs of different reals, plus the same of fakes, minus twice its mean over the m^2 pairs of a real and a fake. It
    is unbiased and can therefore be negative.

    Args:
      real_features: [N, F].
      fake_features: [M, F].
      real_subsets: indices into the reals, int [S, m] with m of at least 2.
      fake_subsets: indices into the fakes, int [S, m].

    Returns:
      The distance.

    Raises:
      FieldError: on shapes or indices that are not allowed.

    References:
      Binkowski et al. 2018, "Demystifying MMD GANs", section 4.
    """
    real_features, fake_features = feature_pair(real_features, fake_features)
    real_subsets = _checked_subsets(real_subsets, len(real_features), name="real_subsets")
    fake_subsets = _checked_subsets(fake_subsets, len(fake_features), name="fake_subsets")
    if real_subsets.shape != fake_subsets.shape:
        raise FieldError("fake_subsets", Words(f"shape {fake_subsets.shape}"), f"{real_subsets.shape}, as real_subsets")
    pairs = zip(real_subsets, fake_subsets)
    return float(np.mean([_subset_distance(real_features[r], fake_features[f]) for r, f in pairs]))


def kernel_distance_of_random_subsets(
    real_features: np.ndarray,
    fake_features: np.ndarray,
    *,
    seed: int,
    num_subsets: int = 100,
    max_subset_size: int = 1000,
) -> float:
    """Computes the kernel distance, averaged over random subsets; see `kernel_distance`.

    Args:
      real_features: [N, F].
      fake_features: [M, F].
      seed: seed of the subsets.
      num_subsets: number of subsets.
      max_subset_size: size of a subset, limited to the size of the smaller set.

    Raises:
      FieldError: on shapes or numbers that are not allowed.
    """
    real_features, fake_features = feature_pair(real_features, fake_features)
    if max_subset_size < 2:
        raise FieldError("max_subset_size", max_subset_size, "at least 2")
    for name, features in (("real_features", real_features), ("fake_features", fake_features)):
        if len(features) < 2:
            raise FieldError(name, Words("1 sample"), "at least 2")
    size = min(len(real_features), len(fake_features), max_subset_size)
    rng = np.random.default_rng(seed)
    fake_subsets = draw_subsets(rng, len(fake_features), num_subsets=num_subsets, subset_size=size)
    real_subsets = draw_subsets(rng, len(real_features), num_subsets=num_subsets, subset_size=size)
    return kernel_distance(real_features, fake_features, real_subsets=real_subsets, fake_subsets=fake_subsets)


def draw_subsets(rng: np.random.Generator, count: int, *, num_subsets: int, subset_size: int) -> np.ndarray:
    """Draws the indices of random subsets, int [num_subsets, subset_size], without replacement within a subset."""
    if num_subsets < 1:
        raise FieldError("num_subsets", num_subsets, "at least 1")
    if not 1 <= subset_size <= count:
        raise FieldError("subset_size", subset_size, f"1 to {count}, the number of samples")
    return np.stack([rng.choice(count, subset_size, replace=False) for _ in range(num_subsets)])


def _checked_subsets(subsets: np.ndarray, count: int, *, name: str) -> np.ndarray:
    subsets = np.asarray(subsets)
    if subsets.ndim != 2 or len(subsets) < 1 or subsets.shape[1] < 2 or not np.issubdtype(subsets.dtype, np.integer):
        found = Words(f"{subsets.dtype} {list(subsets.shape)}")
        raise FieldError(name, found, "int [S, m] with S of at least 1 and m of at least 2")
    if subsets.min() < 0 or subsets.max() >= count:
        raise FieldError(name, Words(f"indices {subsets.min()} to {subsets.max()}"), f"0 to {count - 1}")
    return subsets


def _subset_distance(real: np.ndarray, fake: np.ndarray) -> float:
    size = len(real)
    within_real, within_fake, between = _cubic_kernel(real, real), _cubic_kernel(fake, fake), _cubic_kernel(real, fake)
    within = within_real.sum() - np.trace(within_real) + within_fake.sum() - np.trace(within_fake)
    return within / (size * (size - 1)) - 2 * between.mean()


def _cubic_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3
