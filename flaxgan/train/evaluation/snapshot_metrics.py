"""Metrics of a snapshot: functions that read the real images once, and return a function of generated images."""

from collections.abc import Callable

import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.metrics import class_quality as quality
from flaxgan.metrics.classifier import train_classifier

Measure = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""(generated images uint8 [N, H, W, C], their requested labels int32 [N] or float32 [N, K]) -> values by name."""


def class_quality(images: np.ndarray, labels: np.ndarray, *, num_classes: int, seed: int) -> Measure:
    """Trains a small classifier on the real images and returns the metric that is computed with it.

    Args:
      images: real images, uint8 [M, H, W, C].
      labels: their classes, int32 [M].
      num_classes: number of classes, at least 2.
      seed: seed of the classifier.

    Returns:
      The metric of `flaxgan.metrics.class_quality`: agreement, Frechet distance, precision and recall.

    Raises:
      FieldError: if there are fewer than two classes, or labels are vectors.
    """
    if num_classes < 2:
        found = Words(f"'class_quality' with config.data.num_classes={num_classes}")
        raise FieldError("config.metrics", found, "'class_quality' with at least 2 classes")
    if labels.ndim != 1:
        found = Words("'class_quality' with config.data.labels='vectors'")
        raise FieldError("config.metrics", found, "'class_quality' with config.data.labels='classes'")
    classifier = train_classifier(images, labels, num_classes=num_classes, seed=seed)
    return lambda fakes, fake_labels: quality.class_quality(classifier, images, fakes, fake_labels)
