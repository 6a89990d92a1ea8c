"""The 1,797 handwritten digits that ship inside scikit-learn, 10 classes: images to learn from without a download."""

import os

import numpy as np
from PIL import Image

from flaxgan.data import fields
from flaxgan.data.source import Source, describe

DEFAULT_RESOLUTION_PX = 16
NUM_CLASSES = 10

_MAX_INK = 16  # the set's own range is 0 to 16


def open(
    path: str | os.PathLike[str],
    *,
    resolution: int | tuple[int, int] | None,
    channels: int | None,
    num_classes: int | None,
) -> Source:
    """Opens the digits; see `flaxgan.data.open_source`.

    Args:
      path: must be empty.
      resolution: pixels; the 8x8 originals are resized to it with a bicubic filter. None is 16.
      channels: 1 or None.
      num_classes: 10 or None, or 0 to ignore labels.

    Returns:
      The source: white ink on black.
    """
    fields.check_no_path(path, "digits")
    height, width = fields.height_width(resolution) or (DEFAULT_RESOLUTION_PX, DEFAULT_RESOLUTION_PX)
    if channels not in (None, 1):
        raise ValueError(f"data.channels={channels!r}; allowed for data.source='digits': 1 (grey), or None")
    if num_classes not in (None, 0, NUM_CLASSES):
        raise ValueError(f"data.num_classes={num_classes!r}; allowed for data.source='digits': 10, 0 or None")

    from sklearn.datasets import load_digits  # slow to import, and only this source needs it

    digits = load_digits()
    images = np.stack([_resized(image, height, width) for image in digits.images])
    images.setflags(write=False)
    count = 0 if num_classes == 0 else NUM_CLASSES
    return Source(
        images=images,
        image_shape=images.shape[1:],
        labels=digits.target.astype(np.int32) if count else None,
        num_classes=count,
        class_names=tuple(str(index) for index in range(count)),
        description=describe(len(images), images.shape[1:], count, "scikit-learn's handwritten digits"),
    )


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    # In float, so that the filter sees all 17 levels and is rounded once.
    ink = Image.fromarray(image.astype(np.float32) * (255 / _MAX_INK))
    resized = np.asarray(ink.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)[:, :, np.newaxis]
