"""A cache of decoded images in memory, so that a small set is decoded once and not in every epoch."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flaxgan.data.source import BatchedImages, Images, Source

_OVERHEAD_BYTES = 300  # of an array and its entry in a dict


class CachedImages:
    """Images that are decoded when they are read, and the first of which are cached.

    See `flaxgan.data.source.BatchedImages` for the interface.
    """

    def __init__(self, images: Images, max_images: int) -> None:
        """Caches at most `max_images` images: those that are read first."""
        self._images, self._max_images = images, max_images
        self._cached: dict[int, np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return CachedImages, (self._images, self._max_images)  # The cache does not travel between processes.

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        cached = self._cached.get(index)
        return self._add(index, self._images[index]) if cached is None else cached

    def read_into(self, indices: Sequence[int], rows: np.ndarray) -> list[int]:
        """Reads many images; see `flaxgan.data.source.BatchedImages`."""
        missing = []
        for row, index in enumerate(indices):
            cached = self._cached.get(index)
            if cached is None:
                missing.append(row)
            else:
                rows[row] = cached
        if not missing or not isinstance(self._images, BatchedImages):
            return missing
        images = np.empty((len(missing), *rows.shape[1:]), np.uint8)
        left_out = set(self._images.read_into([indices[row] for row in missing], images))
        for place, row in enumerate(missing):
            if place not in left_out:
                rows[row] = images[place]
                self._add(indices[row], images[place])
        return [missing[place] for place in sorted(left_out)]

    def _add(self, index: int, image: np.ndarray) -> np.ndarray:
        if len(self._cached) < self._max_images:
            image.flags.writeable = False  # Every later reader shares this array.
            self._cached[index] = image
        return image


def keep(source: Source, gib: float) -> Source:
    """Returns the same source with a cache of decoded images.

    Args:
      source: the source. Images that lie in an array need no cache.
      gib: memory that the cache may take, in GiB.
    """
    max_images = int(gib * 2**30 / (math.prod(source.image_shape) + _OVERHEAD_BYTES))
    if not max_images or isinstance(source.images, np.ndarray):
        return source
    return dataclasses.replace(source, images=CachedImages(source.images, max_images))
