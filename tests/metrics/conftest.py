"""The digits of scikit-learn at 16x16 and a classifier trained on them, shared by the tests of this folder."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from flaxgan.metrics.classifier import Classifier, train_classifier


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """All 1,797 images, uint8 [1797, 16, 16, 1], and their labels, int32 [1797]."""
    source = load_digits()
    images = [Image.fromarray(np.uint8(np.rint(image * 255 / 16))) for image in source.images]
    resized = [np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR)) for image in images]
    return np.stack(resized)[..., None], source.target.astype(np.int32)


@pytest.fixture(scope="session")
def digits_classifier(digits) -> Classifier:
    images, labels = digits
    return train_classifier(images, labels, num_classes=10, seed=0)
