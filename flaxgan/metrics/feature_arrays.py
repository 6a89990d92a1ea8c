"""Checks of the feature matrices that metrics take; errors name the argument."""

import numpy as np

from flaxgan.errors import FieldError, Words


def feature_matrix(features: np.ndarray, *, name: str, dtype: type | None = np.float64) -> np.ndarray:
    """Checks features and converts them to an array.

    Args:
      features: [N, F], any real type.
      name: name of the caller's argument, for the message.
      dtype: the dtype to return; float64, in which all statistics are computed. None keeps the dtype of the features,
        for large sets that are converted block by block.

    Returns:
      [N, F].

    Raises:
      FieldError: unless they are a finite matrix of real numbers with at least one row and one column.
    """
    features = np.asarray(features)
    if features.ndim != 2 or 0 in features.shape:
        raise FieldError(name, Words(f"shape {features.shape}"), "[N, F] with N and F of at least 1")
    if not np.isrealobj(features):
        raise FieldError(name, Words(f"dtype {features.dtype}"), "real numbers")
    if dtype is not None:
        features = features.astype(dtype, copy=False)
    if not np.isfinite(features).all():
        raise FieldError(name, Words("non-finite values"), "finite values")
    return features


def feature_pair(
    real_features: np.ndarray, fake_features: np.ndarray, *, dtype: type | None = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Checks two sets of features with `feature_matrix` and compares their widths.

    Raises:
      FieldError: as `feature_matrix`, and if the widths differ.
    """
    real_features = feature_matrix(real_features, name="real_features", dtype=dtype)
    fake_features = feature_matrix(fake_features, name="fake_features", dtype=dtype)
    if real_features.shape[1] != fake_features.shape[1]:
        width, allowed = fake_features.shape[1], real_features.shape[1]
        raise FieldError("fake_features", Words(f"width {width}"), f"{allowed}, the width of real_features")
    return real_features, fake_features
