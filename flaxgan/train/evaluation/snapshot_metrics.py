"""Measures taken at a snapshot: functions that see the real images once, and return what measures generated ones."""

from collections.abc import Callable

import numpy as np

from flaxgan.metrics import class_quality as quality
from flaxgan.metrics.classifier import train_classifier

Measure = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""(generated images uint8 [N, H, W, C], the labels asked for int32 [N] or float32 [N, K]) -> named values."""


def class_quality(images: np.ndarray, labels: np.ndarray, *, num_classes: int, seed: int) -> Measure:
    """Quality in the eyes of a small classifier that is trained here on the real images.

    Args:
      images: real images, uint8 [M, H, W, C].
      labels: their classes, int32 [M].
      num_classes: number of classes, at least 2.
      seed: of the classifier.

    Returns:
      The measure of `flaxgan.metrics.class_quality`: agreement, Frechet distance, precision and recall.

    Raises:
      ValueError: without at least two classes, and where labels are vectors.
    """
    if num_classes < 2:
        raise ValueError(
            f"config.metrics: 'class_quality' needs labels, found data.num_classes {num_classes}, allowed: 2 or more"
        )
    if labels.ndim != 1:
        raise ValueError(
            "config.metrics: 'class_quality' needs classes, found data.labels 'vectors', allowed: 'classes'"
        )
    classifier = train_classifier(images, labels, num_classes=num_classes, seed=seed)
    return lambda fakes, fake_labels: quality.class_quality(classifier, images, fakes, fake_labels)
