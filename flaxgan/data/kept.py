"""Decoded images in memory, so that those of a small set are decoded once and not in every epoch."""

import dataclasses
import math

import numpy as np

from flaxgan.data.source import MirroredImages, Source

_OVERHEAD_BYTES = 300  # of an array and its place in a dict


class KeptImages:
    """Images that are decoded on reading, the first ones of which are kept; see `flaxgan.data.source.Images`."""

    def __init__(self, images: MirroredImages, max_images: int):
        """Keeps up to so many images, those that are asked for first."""
        self._images, self._max_images = images, max_images
        self._kept: dict[int, np.ndarray] = {}

    def __reduce__(self) -> tuple:
        return KeptImages, (self._images, self._max_images)  # What is kept does not travel between processes.

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        image = self._images[index]
        if len(self._kept) < self._max_images:
            image.flags.writeable = False  # From now on it belongs to all who ask for it.
            self._kept[index] = image
        return image

    def mirrored(self, index: int) -> np.ndarray:
        """The same, flipped left to right."""
        if index in self._kept or len(self._kept) < self._max_images:
            return self[index][:, ::-1]
        return self._images.mirrored(index)


def keep(source: Source, gib: float) -> Source:
    """The same source, with decoded images kept in memory.

    Args:
      source: what lies in memory already stays as it is.
      gib: how much memory they may take, in GiB.
    """
    max_images = int(gib * 2**30 / (math.prod(source.image_shape) + _OVERHEAD_BYTES))
    if not max_images or not isinstance(source.images, MirroredImages):
        return source
    return dataclasses.replace(source, images=KeptImages(source.images, max_images))
