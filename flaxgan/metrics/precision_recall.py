"""Precision and recall of a generator by k-nearest-neighbour manifolds."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flaxgan.metrics.feature_arrays import feature_matrix, feature_pair

# Below this share of |a|^2 + |b|^2 the expansion |a|^2 + |b|^2 - 2ab has lost half of float64's digits, or all of them
# for duplicates, whose distance has to be exactly zero: a collapsed generator is full of them.
_CANCELLATION = 1e-8


class PrecisionRecall(NamedTuple):
    """Precision and recall, each a share in [0, 1].

    Attributes:
      precision: share of the fakes that lie on the manifold of the reals (quality).
      recall: share of the reals that lie on the manifold of the fakes (variety).
    """

    precision: float
    recall: float


def precision_recall(
    real_features: np.ndarray, fake_features: np.ndarray, *, k: int = 3, batch_size: int = 1024
) -> PrecisionRecall:
    """Improved precision and recall.

    Args:
      real_features: [N, F].
      fake_features: [M, F].
      k: which neighbour spans a sample's ball; 3 in the paper for 50,000 samples.
      batch_size: rows and columns of the distance blocks: memory is about 50 * batch_size^2 bytes beside the
        features (50,000 of width 4096 stay in the type they come in), whatever N and M. No effect on the result.

    Raises:
      ValueError: for shapes that do not fit, or if a set has k samples or fewer.

    Reference: Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models",
      equations 1 and 2.
    """
    real_features, fake_features = feature_pair(real_features, fake_features, dtype=None)
    options = {"batch_size": batch_size}
    real_radii = neighbour_radii(real_features, k=k, name="real_features", **options)
    fake_radii = neighbour_radii(fake_features, k=k, name="fake_features", **options)
    fake_covered = covered_by_manifold(fake_features, real_features, manifold_radii=real_radii, **options)
    real_covered = covered_by_manifold(real_features, fake_features, manifold_radii=fake_radii, **options)
    return PrecisionRecall(float(fake_covered.mean()), float(real_covered.mean()))


def neighbour_radii(features: np.ndarray, *, k: int, batch_size: int = 1024, name: str = "features") -> np.ndarray:
    """The distance of each sample to its k-th nearest neighbour, itself excluded.

    Args:
      features: [N, F] with N > k.
      k: which neighbour, from 1.
      batch_size: see `precision_recall`.
      name: what the caller calls the features, for the message.

    Returns:
      Distances, float64 [N].
    """
    features = feature_matrix(features, name=name, dtype=None)
    if not 1 <= k < len(features):
        allowed = f"1 to {len(features) - 1}, N - 1" if len(features) > 1 else "2 samples or more, and 1 to N - 1"
        raise ValueError(f"k is {k} with {len(features)} {name}; allowed: {allowed}")
    radii = np.empty(len(features))
    for rows in _blocks(len(features), batch_size):
        # Each sample finds itself at distance exactly zero, so the k-th other one is at index k in order.
        nearest = np.full((rows.stop - rows.start, k + 1), np.inf)
        for columns in _blocks(len(features), batch_size):
            squared = _squared_distances(features[rows], features[columns])
            nearest = np.partition(np.concatenate([nearest, squared], axis=1), k, axis=1)[:, : k + 1]
        radii[rows] = np.sqrt(nearest.max(axis=1))
    return radii


def covered_by_manifold(
    probes: np.ndarray, manifold: np.ndarray, *, manifold_radii: np.ndarray, batch_size: int = 1024
) -> np.ndarray:
    """Whether each probe lies within (<=) the ball of at least one sample of the manifold.

    Args:
      probes: [N, F].
      manifold: [M, F].
      manifold_radii: radius of each sample's ball, [M].
      batch_size: see `precision_recall`.

    Returns:
      bool [N].
    """
    probes = feature_matrix(probes, name="probes", dtype=None)
    manifold = feature_matrix(manifold, name="manifold", dtype=None)
    if probes.shape[1] != manifold.shape[1]:
        raise ValueError(f"probes is {probes.shape[1]} wide; allowed: {manifold.shape[1]}, the width of manifold")
    if np.shape(manifold_radii) != (len(manifold),):
        raise ValueError(f"manifold_radii has shape {np.shape(manifold_radii)}; allowed: {(len(manifold),)}")
    covered = np.zeros(len(probes), bool)
    for rows in _blocks(len(probes), batch_size):
        for columns in _blocks(len(manifold), batch_size):
            distances = np.sqrt(_squared_distances(probes[rows], manifold[columns]))
            covered[rows] |= (distances <= manifold_radii[columns]).any(axis=1)
    return covered


def _squared_distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, float64 [R, C], by matrix products.

    Pairs so near each other that the expansion cancels are computed again with one of their rows as the origin,
    together with all their neighbours: a set of duplicates takes one more product, not one difference per pair.
    """
    rows, columns = rows.astype(np.float64), columns.astype(np.float64)
    squared, cancelled = _expansion(rows, columns)
    for row in np.flatnonzero(cancelled.any(axis=1)):
        near_columns = np.flatnonzero(cancelled[row])
        if len(near_columns) == 0:
            continue
        near_rows = np.flatnonzero(cancelled[:, near_columns].any(axis=1))
        block = np.ix_(near_rows, near_columns)
        again, still_cancelled = _expansion(rows[near_rows] - rows[row], columns[near_columns] - rows[row])
        squared[block] = np.where(cancelled[block], again, squared[block])
        cancelled[block] &= still_cancelled
    return squared


def _expansion(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|a|^2 + |b|^2 - 2ab for all pairs, and where it has cancelled; exact, and not cancelled, where a or b is zero."""
    scale = np.sum(rows**2, axis=1)[:, None] + np.sum(columns**2, axis=1)[None, :]
    squared = scale - 2 * (rows @ columns.T)
    return squared, squared < _CANCELLATION * scale


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of `size` that cover range(count)."""
    if size < 1:
        raise ValueError(f"batch_size is {size}; allowed: at least 1")
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
