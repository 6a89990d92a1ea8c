"""The interface of every data source to the trainer: a random-access sequence of images and labels."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from flaxgan.data.errors import ImageError
from flaxgan.data.skipped import Skipped


class Images(Protocol):
    """A sequence of images, each uint8 [H, W, C]. It is picklable, and any number of threads may index it at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


@runtime_checkable
class BatchedImages(Images, Protocol):
    """Images that are faster to read many at once than one by one."""

    def read_into(self, indices: Sequence[int], rows: np.ndarray) -> list[int]:
        """Reads images into the rows of an array.

        Args:
          indices: N indices of images.
          rows: uint8 [N, H, W, C], which receives the images.

        Returns:
          The numbers of the rows that were left out. The caller reads these images one by one, and sees the error of
          an image that cannot be used.
        """
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Images of one shape, with or without labels.

    Attributes:
      images: the images, each uint8 [H, W, C]; an array [M, H, W, C], or an object that reads them one by one and
        raises ImageError for an image that cannot be used.
      image_shape: (H, W, C) in pixels and channels.
      labels: the class of each image, int32 [M], or label vectors, float32 [M, K]; None without labels.
      num_classes: number of classes, or length K of the vectors; 0 without labels.
      class_names: name of each class, or of each element of the vectors; empty without labels.
      description: one line for people: number and shape of the images, and where they come from.
      skipped: records images that cannot be used, which are then replaced; None raises their errors.
      notes: further lines for people.
      details: further entries of the dataset fingerprint, see `flaxgan.data.fingerprint`.
    """

    images: Images | np.ndarray
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

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray | np.int32]:
        """Returns the image, uint8 [H, W, C], and its label, int32 [] or float32 [K], which is 0 without labels.

        If images that cannot be used are skipped, such an image and its label are replaced by those of the next usable
        image in the order of the set. The first image follows the last.

        Raises:
          ImageError: if the image cannot be used; with skipping, if no image can be used.
        """
        if self.skipped is None:
            return self.images[index], self.label(index)
        for candidate in itertools.chain(range(index, len(self)), range(index)):
            if candidate in self.skipped:
                continue
            try:
                return self.images[candidate], self.label(candidate)
            except ImageError as error:
                self.skipped.note(candidate, error)
        raise ImageError(f"none of the {len(self):,} images can be used; the first: {self.skipped.first()}")

    def read_many(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Reads images and labels; each is what `self[index]` returns.

        Args:
          indices: N indices of images.

        Returns:
          Images, uint8 [N, H, W, C], and labels, int32 [N] or float32 [N, K], which are 0 without labels.
        """
        images, labels = self.empty(len(indices))
        for row, index in enumerate(indices):
            labels[row] = self.label(index)
        batched = self._batched_images
        left_out = range(len(indices)) if batched is None else batched.read_into(indices, images)
        for row in left_out:
            images[row], labels[row] = self[indices[row]]
        return images, labels

    def empty(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns uninitialized arrays that hold `count` images and labels."""
        label = self.label(0)
        return np.empty((count, *self.image_shape), np.uint8), np.empty((count, *np.shape(label)), label.dtype)

    @functools.cached_property
    def _batched_images(self) -> BatchedImages | None:
        return self.images if isinstance(self.images, BatchedImages) else None

    def label(self, index: int) -> np.ndarray | np.int32:
        """Returns the label of an image, int32 [] or float32 [K]; 0 without labels."""
        return np.int32(0) if self.labels is None else self.labels[index]


def describe(
    count: int, image_shape: tuple[int, int, int], num_classes: int, origin: str, *, labels: str = "classes"
) -> str:
    """Returns the description of a source.

    Args:
      count: number of images.
      image_shape: (H, W, C) in pixels and channels.
      num_classes: number of classes, or length of the label vectors; 0 without labels.
      origin: where the images come from.
      labels: "classes" or "vectors", see `flaxgan.data.image_spec.ImageSpec`.
    """
    height, width, channels = image_shape
    kind = f"{num_classes:,} classes" if labels == "classes" else f"labels of {num_classes:,} numbers"
    return f"{count:,} images of {height}x{width}x{channels}, {kind if num_classes else 'no labels'}, from {origin}"
