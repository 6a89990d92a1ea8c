"""Random images computed from their index, of any shape and class count: for benchmarks and dry runs."""

import dataclasses
import os

import numpy as np

from flaxgan.data import field_checks
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source, describe

NUM_IMAGES = 10_000
DEFAULT_CHANNELS = 3


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens the synthetic set; see `flaxgan.data.open_source`.

    Args:
      path: must be empty.
      request: of a resolution, which must be set; of any positive number of channels (None is 3) and of any number of
        classes (None is 0): image i has label i modulo their number, or as a vector the bits of i. There is nothing to
        crop or to resize.

    Returns:
      The source: 10,000 images of uniform noise.
    """
    field_checks.check_no_path(path, "synthetic")
    field_checks.check_not_transformed(request.crop, request.resize, "synthetic")
    size, channels = request.size, request.channels
    if size is None:
        raise ValueError("data.resolution=None; allowed for data.source='synthetic': a number of pixels or a pair")
    if channels is not None and not (isinstance(channels, int) and channels > 0):
        raise ValueError(f"data.channels={channels!r}; allowed for data.source='synthetic': a positive number or None")
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
    """Uniform noise, uint8 [H, W, C], a pure function of the index."""

    image_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return NUM_IMAGES

    def __getitem__(self, index: int) -> np.ndarray:
        random = np.random.Generator(np.random.Philox(key=index))
        return random.integers(0, 256, self.image_shape, np.uint8)
