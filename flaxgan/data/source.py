"""What every kind of data looks like to the trainer: a random-access sequence of images and labels."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from flaxgan.data.errors import ImageError
from flaxgan.data.skipped import Skipped


class Images(Protocol):
    """A sequence of images, uint8 [H, W, C] each; safe to index from many threads at once, and picklable."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


@runtime_checkable
class MirroredImages(Images, Protocol):
    """Images that can be had flipped left to right for less than it takes to flip their pixels."""

    def mirrored(self, index: int) -> np.ndarray: ...


@runtime_checkable
class BatchedImages(Images, Protocol):
    """Images of which many are read at once faster than one by one."""

    def read_into(self, indices: list[int], flips: list[bool], rows: np.ndarray) -> list[int]:
        """Reads images into the rows of an array.

        Args:
          indices: which images.
          flips: of each, whether it is flipped left to right.
          rows: uint8 [N, H, W, C], which is written to.

        Returns:
          The rows that were left out, to be read one by one: their images may be ones that cannot be used.
        """


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Images of one shape, with or without labels.

    Attributes:
      images: the images, uint8 [H, W, C] each; an array [M, H, W, C] or anything that reads them one by one, and raises
        ImageError where it cannot.
      image_shape: (H, W, C) in pixels and channels.
      labels: class of each image, int32 [M], or label vectors, float32 [M, K]; None without labels.
      num_classes: number of classes, or length K of the vectors; 0 without labels.
      class_names: a name for each class, or for each place of the vectors; empty without labels.
      description: one line for people: how many images of which shape come from where.
      skipped: takes note of images that cannot be used, which are then replaced; None raises their errors.
      notes: what people should know besides, a line each.
      details: what else tells the set from another one, see `flaxgan.data.fingerprint`.
    """

    images: Images
    image_shape: tuple[int, int, int]
    labels: np.ndarray | None
    num_classes: int
    class_names: tuple[str, ...]
    description: str
    skipped: Skipped | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The image, uint8 [H, W, C], and its label, int32 [] or float32 [K], which is 0 without labels.

        Where images that cannot be used are skipped, this is the image and label of the next one in the set's order
        that can be used, from the first one on after the last.

        Raises:
          ImageError: if the image, or with skipping every image, cannot be used.
        """
        return self.read(index)

    def read(self, index: int, *, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """`self[index]`, with the image flipped left to right if wished."""
        if self.skipped is None:
            return self._image(index, mirrored), self.label(index)
        for candidate in itertools.chain(range(index, len(self)), range(index)):
            if candidate in self.skipped:
                continue
            try:
                return self._image(candidate, mirrored), self.label(candidate)
            except ImageError as error:
                self.skipped.note(candidate, error)
        raise ImageError(f"none of the {len(self):,} images can be used; the first: {self.skipped.first()}")

    def read_many(self, indices: list[int], flips: list[bool]) -> tuple[np.ndarray, np.ndarray]:
        """Many images and labels, as `read` gives each of them.

        Args:
          indices: N of them.
          flips: of each, whether it is flipped left to right.

        Returns:
          Images, uint8 [N, H, W, C], and labels, int32 [N] or float32 [N, K], which are 0 without labels.
        """
        images, labels = self.room(len(indices))
        for row, index in enumerate(indices):
            labels[row] = self.label(index)
        left = self.images.read_into(indices, flips, images) if self._is_batched else range(len(indices))
        for row in left:
            images[row], labels[row] = self.read(indices[row], mirrored=flips[row])
        return images, labels

    def room(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Arrays for so many images and labels."""
        label = self.label(0)
        return np.empty((count, *self.image_shape), np.uint8), np.empty((count, *np.shape(label)), label.dtype)

    def _image(self, index: int, mirrored: bool) -> np.ndarray:
        if not mirrored:
            return self.images[index]
        if self._flips_itself:
            return self.images.mirrored(index)
        return self.images[index][:, ::-1]

    @functools.cached_property
    def _flips_itself(self) -> bool:
        return isinstance(self.images, MirroredImages)

    @functools.cached_property
    def _is_batched(self) -> bool:
        return isinstance(self.images, BatchedImages)

    def label(self, index: int) -> np.ndarray:
        """The label of an image, int32 [] or float32 [K]; 0 without labels."""
        return np.int32(0) if self.labels is None else self.labels[index]


def describe(
    count: int, image_shape: tuple[int, int, int], num_classes: int, origin: str, *, labels: str = "classes"
) -> str:
    """The description of a source: count, shape, labels (of a kind, see `ImageSpec`) and origin."""
    height, width, channels = image_shape
    kind = f"{num_classes:,} classes" if labels == "classes" else f"labels of {num_classes:,} numbers"
    return f"{count:,} images of {height}x{width}x{channels}, {kind if num_classes else 'no labels'}, from {origin}"
