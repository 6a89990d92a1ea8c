"""Precision and recall of a generator, from k-nearest-neighbour manifolds."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.metrics.feature_arrays import feature_matrix, feature_pair

# Below this share of |a|^2 + |b|^2 the expansion |a|^2 + |b|^2 - 2ab has lost half of the digits of float64. For
# duplicates, which abound after mode collapse, it has lost all of them, and their distance must be exactly zero.
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
    """Computes improved precision and recall.

    Args:
      real_features: [N, F].
      fake_features: [M, F].
      k: the k-th nearest neighbour is the radius of a sample's ball; 3 in the paper for 50,000 samples.
      batch_size: rows and columns of the blocks of distances. Memory, in addition to the features in their own dtype,
        is about 50 * batch_size^2 bytes for any N and M. The result does not depend on it.

    Raises:
      FieldError: on shapes that do not agree, or if a set has k samples or fewer.

    References:
      Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", equations 1
      and 2.
    """
    real_features, fake_features = feature_pair(real_features, fake_features, dtype=None)
    options = {"batch_size": batch_size}
    real_radii = neighbour_radii(real_features, k=k, name="real_features", **options)
    fake_radii = neighbour_radii(fake_features, k=k, name="fake_features", **options)
    fake_covered = covered_by_manifold(fake_features, real_features, manifold_radii=real_radii, **options)
    real_covered = covered_by_manifold(real_features, fake_features, manifold_radii=fake_radii, **options)
    return PrecisionRecall(float(fake_covered.mean()), float(real_covered.mean()))


def neighbour_radii(features: np.ndarray, *, k: int, batch_size: int = 1024, name: str = "features") -> np.ndarray:
    """Computes the distance of each sample to its k-th nearest neighbour other than itself.

    Args:
      features: [N, F] with N > k.
      k: index of the neighbour, from 1.
      batch_size: see `precision_recall`.
      name: name of the caller's argument, for the message.

    Returns:
      Distances, float64 [N].
    """
    features = feature_matrix(features, name=name, dtype=None)
    if not 1 <= k < len(features):
        allowed = f"1 to {len(features) - 1}, N - 1" if len(features) > 1 else "1 to N - 1 with 2 samples or more"
        raise FieldError("k", Words(f"{k} with {len(features)} {name}"), allowed)
    radii = np.empty(len(features))
    for rows in _blocks(len(features), batch_size):
        # Each sample finds itself at distance exactly zero, so the k-th other sample has index k in sorted order.
        nearest = np.full((rows.stop - rows.start, k + 1), np.inf)
        for columns in _blocks(len(features), batch_size):
            squared = _squared_distances(features[rows], features[columns])
            nearest = np.partition(np.concatenate([nearest, squared], axis=1), k, axis=1)[:, : k + 1]
        radii[rows] = np.sqrt(nearest.max(axis=1))
    return radii


def covered_by_manifold(
    probes: np.ndarray, manifold: np.ndarray, *, manifold_radii: np.ndarray, batch_size: int = 1024
) -> np.ndarray:
    """Tests whether each probe lies within (<=) the ball of at least one sample of the manifold.

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
        raise FieldError("probes", Words(f"width {probes.shape[1]}"), f"{manifold.shape[1]}, the width of manifold")
    if np.shape(manifold_radii) != (len(manifold),):
        raise FieldError("manifold_radii", Words(f"shape {np.shape(manifold_radii)}"), str((len(manifold),)))
    covered = np.zeros(len(probes), bool)
    for rows in _blocks(len(probes), batch_size):
        for columns in _blocks(len(manifold), batch_size):
            distances = np.sqrt(_squared_distances(probes[rows], manifold[columns]))
            covered[rows] |= (distances <= manifold_radii[columns]).any(axis=1)
    return covered


def _squared_distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Computes squared Euclidean distances, float64 [R, C], by matrix products.

    Where pairs are so close that the expansion cancels, they and their neighbours are computed again with one of the
    rows as the origin. A set of duplicates thus takes one more product instead of one difference per pair.
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
    """Computes |a|^2 + |b|^2 - 2ab for all pairs, and a mask of where it cancels; it is exact where a or b is zero."""
    scale = np.sum(rows**2, axis=1)[:, None] + np.sum(columns**2, axis=1)[None, :]
    squared = scale - 2 * (rows @ columns.T)
    return squared, squared < _CANCELLATION * scale


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Returns slices of `size` that cover range(count)."""
    if size < 1:
        raise FieldError("batch_size", size, "at least 1")
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
