"""Decoded images in memory, so that those of a small set are decoded once and not in every epoch."""

import dataclasses
import math

import numpy as np

from flaxgan.data.source import BatchedImages, MirroredImages, Source

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
        return self._keep(index, self._images[index])

    def mirrored(self, index: int) -> np.ndarray:
        """The same, flipped left to right."""
        if index in self._kept or len(self._kept) < self._max_images:
            return self[index][:, ::-1]
        return self._images.mirrored(index)

    def read_into(self, indices: list[int], flips: list[bool], rows: np.ndarray) -> list[int]:
        """Reads many images; see `flaxgan.data.source.BatchedImages`."""
        missing = []
        for row, (index, flip) in enumerate(zip(indices, flips, strict=True)):
            kept = self._kept.get(index)
            if kept is None:
                missing.append(row)
            else:
                rows[row] = kept[:, ::-1] if flip else kept
        if not missing or not isinstance(self._images, BatchedImages):
            return missing
        has_room = len(self._kept) < self._max_images  # What is to be kept is read as it is, and then flipped.
        read = np.empty((len(missing), *rows.shape[1:]), np.uint8)
        wanted = [flips[row] and not has_room for row in missing]
        left = set(self._images.read_into([indices[row] for row in missing], wanted, read))
        for place, row in enumerate(missing):
            if place not in left:
                image = self._keep(indices[row], read[place])
                rows[row] = image[:, ::-1] if flips[row] and has_room else image
        return [missing[place] for place in sorted(left)]

    def _keep(self, index: int, image: np.ndarray) -> np.ndarray:
        if len(self._kept) < self._max_images:
            image.flags.writeable = False  # From now on it belongs to all who ask for it.
            self._kept[index] = image
        return image


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
