"""A source from image files, wherever they lie: one shape for all, labels from dataset.json or from sub-folders."""

import dataclasses
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np

from flaxgan.data import fields, images, labels
from flaxgan.data.source import Source, describe

MAX_HEADERS_CHECKED = 1000


class Files(Protocol):
    """A fixed list of image files; safe to read from many threads at once, and picklable.

    Attributes:
      path: the folder or archive, as the user knows it.
      names: path of each image inside it, with forward slashes.
      num_ignored: number of files inside it that are no images.
    """

    path: str
    names: tuple[str, ...]
    num_ignored: int

    def read(self, index: int) -> bytes:
        """The whole file."""

    def head(self, index: int) -> bytes:
        """The file's start, at least 64 KiB of it or all."""

    def where(self, index: int) -> str:
        """What to call the file in a message."""


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedFiles:
    """Image files as a sequence of pixels, uint8 [H, W, C] each, decoded and checked when they are read."""

    files: Files
    image_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.files.names)

    def __getitem__(self, index: int) -> np.ndarray:
        return images.decode(self.files.read(index), self.files.where(index), self.image_shape)


def split_names(names: list[str]) -> tuple[tuple[str, ...], int]:
    """The image files among names, sorted, and the number of other files that are not hidden."""
    visible = [name for name in names if not is_hidden(name)]
    found = sorted(name for name in visible if is_image(name))
    num_others = sum(PurePosixPath(name).name != labels.FILE_NAME for name in visible)
    return tuple(found), num_others - len(found)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return PurePosixPath(name).suffix.lower() in images.SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a path lies in, or is, a hidden file or folder or one that macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def open_files(
    files: Files,
    found_labels: labels.Labels | None,
    *,
    resolution: int | tuple[int, int] | None,
    channels: int | None,
    num_classes: int | None,
) -> Source:
    """A source from image files and the labels found beside them.

    Args:
      files: the image files; at least one.
      found_labels: their labels, or None where there are none or they are to be ignored.
      resolution: the field data.resolution.
      channels: the field data.channels.
      num_classes: the field data.num_classes.

    Returns:
      The source. The first image has been decoded, and the headers of up to 1,000 images, evenly spread, checked;
      every image is checked again when it is read.

    Raises:
      ValueError: if an image or a label does not agree with the fields or cannot be read; the message names it.
    """
    labels.check_num_classes(found_labels, num_classes, files.path)
    image_shape = _image_shape(files, fields.height_width(resolution), channels)
    decoded = DecodedFiles(files, image_shape)
    decoded[0]
    _check_headers(files, image_shape)
    origin = f"{files.path} ({files.num_ignored:,} other files ignored)" if files.num_ignored else files.path
    class_names = found_labels.class_names if found_labels else ()
    return Source(
        images=decoded,
        image_shape=image_shape,
        labels=found_labels.indices if found_labels else None,
        num_classes=len(class_names),
        class_names=class_names,
        description=describe(len(decoded), image_shape, len(class_names), origin),
    )


def _image_shape(files: Files, size: tuple[int, int] | None, channels: int | None) -> tuple[int, int, int]:
    height, width, found_channels = _header_shape(files, 0)
    return (*(size or (height, width)), channels or found_channels)


def _check_headers(files: Files, image_shape: tuple[int, int, int]) -> None:
    count = min(len(files.names), MAX_HEADERS_CHECKED)
    for index in np.linspace(0, len(files.names) - 1, count).round().astype(int).tolist():
        images.check_shape(_header_shape(files, index), image_shape, files.where(index))


def _header_shape(files: Files, index: int) -> tuple[int, int, int]:
    try:
        return images.header_shape(files.head(index), files.where(index))
    except images.ImageError:  # the header may be longer than the start that was read
        return images.header_shape(files.read(index), files.where(index))
