"""The 1,797 handwritten digits inside scikit-learn, in 10 classes: images for training without a download."""

import os

import numpy as np
from PIL import Image

from flaxgan.data import field_checks
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source, describe
from flaxgan.errors import FieldError

DEFAULT_RESOLUTION_PX = 16
NUM_CLASSES = 10

_MAX_INK = 16  # Values of the set range from 0 to 16.


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens the digits; see `flaxgan.data.open_source`.

    Args:
      path: must be empty.
      request: resolution R or HxW, to which the 8x8 originals are resized with a bicubic filter (None is 16); 1 channel
        or None; 10 classes or None, or 0 to ignore labels. Label vectors are one-hot. A crop or a filter is not
        allowed.

    Returns:
      The source, with white ink on black.
    """
    field_checks.check_no_path(path, "digits")
    field_checks.check_not_transformed(request.crop, request.resize, "digits")
    height, width = request.size or (DEFAULT_RESOLUTION_PX, DEFAULT_RESOLUTION_PX)
    if request.channels not in (None, 1):
        raise FieldError("config.data.channels", request.channels, "1 (grey) or None with config.data.source='digits'")
    if request.num_classes not in (None, 0, NUM_CLASSES):
        allowed = "10, 0 or None with config.data.source='digits'"
        raise FieldError("config.data.num_classes", request.num_classes, allowed)

    from sklearn.datasets import load_digits  # Slow to import, and only this source needs it.

    digits = load_digits()
    images = np.stack([_resized(image, height, width) for image in digits.images])
    images.setflags(write=False)
    count = 0 if request.num_classes == 0 else NUM_CLASSES
    classes = digits.target.astype(np.int32)
    found_labels = classes if request.labels == "classes" else np.eye(NUM_CLASSES, dtype=np.float32)[classes]
    origin = "scikit-learn's handwritten digits"
    return Source(
        images=images,
        image_shape=images.shape[1:],
        labels=found_labels if count else None,
        num_classes=count,
        class_names=tuple(str(index) for index in range(count)),
        description=describe(len(images), images.shape[1:], count, origin, labels=request.labels),
    )


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    # The filter runs in float, so that it sees all 17 levels and rounds once.
    ink = Image.fromarray(image.astype(np.float32) * (255 / _MAX_INK))
    resized = np.asarray(ink.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)[:, :, np.newaxis]
