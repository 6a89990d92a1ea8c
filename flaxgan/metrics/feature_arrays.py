"""What the feature metrics accept: checked once, with the argument's name in the message."""

import numpy as np


def feature_matrix(features: np.ndarray, *, name: str, dtype: type | None = np.float64) -> np.ndarray:
    """Features as a checked array.

    Args:
      features: [N, F], any real type.
      name: what the caller calls them, for the message.
      dtype: the type to return; float64, in which all statistics are computed. None keeps the features' own, for
        large sets that are widened piece by piece.

    Returns:
      [N, F].

    Raises:
      ValueError: unless it is a finite matrix of real numbers with at least one row and one column.
    """
    features = np.asarray(features)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"{name} has shape {features.shape}; allowed: [N, F] with N and F of at least 1")
    if not np.isrealobj(features):
        raise ValueError(f"{name} has dtype {features.dtype}; allowed: real numbers")
    if dtype is not None:
        features = features.astype(dtype, copy=False)
    if not np.isfinite(features).all():
        raise ValueError(f"{name} has non-finite values; allowed: finite values")
    return features


def feature_pair(
    real_features: np.ndarray, fake_features: np.ndarray, *, dtype: type | None = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features of one width, as `feature_matrix` returns them.

    Raises:
      ValueError: as `feature_matrix`, and if the widths differ.
    """
    real_features = feature_matrix(real_features, name="real_features", dtype=dtype)
    fake_features = feature_matrix(fake_features, name="fake_features", dtype=dtype)
    if real_features.shape[1] != fake_features.shape[1]:
        width, allowed = fake_features.shape[1], real_features.shape[1]
        raise ValueError(f"fake_features is {width} wide; allowed: {allowed}, the width of real_features")
    return real_features, fake_features
