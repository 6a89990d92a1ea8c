"""What every kind of data looks like to the trainer: a random-access sequence of images and labels."""

import dataclasses
from typing import Protocol

import numpy as np


class Images(Protocol):
    """A sequence of images, uint8 [H, W, C] each; safe to index from many threads at once, and picklable."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Images of one shape, with or without class labels.

    Attributes:
      images: the images, uint8 [H, W, C] each; an array [M, H, W, C] or anything that reads them one by one.
      image_shape: (H, W, C) in pixels and channels.
      labels: class of each image, int32 [M], or None without labels.
      num_classes: number of classes; 0 without labels.
      class_names: a name for each class; empty without labels.
      description: one line for people: how many images of which shape come from where.
    """

    images: Images
    image_shape: tuple[int, int, int]
    labels: np.ndarray | None
    num_classes: int
    class_names: tuple[str, ...]
    description: str

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
        """The image, uint8 [H, W, C], and its label, which is 0 without labels."""
        label = np.int32(0) if self.labels is None else self.labels[index]
        return self.images[index], label


def describe(count: int, image_shape: tuple[int, int, int], num_classes: int, origin: str) -> str:
    """The description of a source: count, shape, classes and origin."""
    height, width, channels = image_shape
    classes = f"{num_classes:,} classes" if num_classes else "no labels"
    return f"{count:,} images of {height}x{width}x{channels}, {classes}, from {origin}"
