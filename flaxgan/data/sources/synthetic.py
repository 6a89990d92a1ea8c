"""Random images that are computed from their index, of any shape and any number of classes: for benchmarks."""

import dataclasses
import os

import numpy as np

from flaxgan.data import field_checks
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source, describe
from flaxgan.errors import FieldError

NUM_IMAGES = 10_000
DEFAULT_CHANNELS = 3


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens the synthetic set; see `flaxgan.data.open_source`.

    Args:
      path: must be empty.
      request: a resolution, which must be set; any positive number of channels (None is 3); any number of classes (None
        is 0). Image i has label i modulo the number of classes, or as a vector the bits of i. A crop or a filter is
        not allowed.

    Returns:
      The source, with 10,000 images of uniform noise.
    """
    field_checks.check_no_path(path, "synthetic")
    field_checks.check_not_transformed(request.crop, request.resize, "synthetic")
    size, channels = request.size, request.channels
    if size is None:
        allowed = "a number of pixels or (height, width) with config.data.source='synthetic'"
        raise FieldError("config.data.resolution", None, allowed)
    if channels is not None and not (isinstance(channels, int) and channels > 0):
        allowed = "a positive number or None with config.data.source='synthetic'"
        raise FieldError("config.data.channels", channels, allowed)
    image_shape = (*size, channels or DEFAULT_CHANNELS)
    count = request.num_classes or 0
    return Source(
        images=NoiseImages(image_shape),
        image_shape=image_shape,
        labels=_labels(count, request.labels) if count else None,
        num_classes=count,
        class_names=tuple(str(index) for index in range(count)),
        description=describe(NUM_IMAGES, image_shape, count, "a random generator", labels=request.labels),
    )


def _labels(count: int, kind: str) -> np.ndarray:
    indices = np.arange(NUM_IMAGES, dtype=np.int32)
    if kind == "classes":
        return indices % count
    return ((indices[:, np.newaxis] >> np.minimum(np.arange(count), 31)) & 1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class NoiseImages:
    """Images of uniform noise, each uint8 [H, W, C], a pure function of the index."""

    image_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return NUM_IMAGES

    def __getitem__(self, index: int) -> np.ndarray:
        random = np.random.Generator(np.random.Philox(key=index))
        return random.integers(0, 256, self.image_shape, np.uint8)
