"""Sources of image files in any storage: one shape for all, with labels from dataset.json or from sub-folders."""

import concurrent.futures
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

import numpy as np

from flaxgan.data.decoding import decode
from flaxgan.data.decoding.transform import Shape, Transform
from flaxgan.data.errors import ImageError, MixedSetError, SizeError, shown
from flaxgan.data.field_checks import CHANNEL_NAMES
from flaxgan.data.formats import labels, manifest
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.skipped import Skipped
from flaxgan.data.source import Source, describe

MAX_HEADERS_CHECKED = 1000
_NUM_THREADS = 16
_T = TypeVar("_T")


class Files(Protocol):
    """A fixed list of image files. It is picklable, and any number of threads may read it at once."""

    @property
    def path(self) -> str:
        """The folder or archive, as the user names it."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Path of each image inside it, with forward slashes."""
        ...

    @property
    def num_ignored(self) -> int:
        """Number of other files inside it."""
        ...

    def read(self, index: int) -> bytes:
        """Reads the whole file."""
        ...

    def head(self, index: int) -> bytes:
        """Reads the start of the file: at least 64 KiB, or the whole file if it is shorter."""
        ...

    def where(self, index: int) -> str:
        """Returns the name of the file in messages."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedFiles:
    """Image files as a sequence of images, each uint8 [H, W, C], which are decoded and checked when they are read.

    Attributes:
      files: the files.
      transform: preprocessing of each image.
      image_shape: (H, W, C).
      first: index of the image that determines the shape where the recipe does not.
    """

    files: Files
    transform: Transform
    image_shape: Shape
    first: int = 0

    def __len__(self) -> int:
        return len(self.files.names)

    def __getitem__(self, index: int) -> np.ndarray:
        image = decode.decode(self.files.read(index), self.files.where(index), self.transform)
        self._check_channels(image.shape[2], index)
        return image

    def check_header(self, index: int) -> Shape:
        """Returns the (H, W, C) of an image before the transform, as declared by the header of its file.

        Raises:
          ImageError: if the header shows that the image cannot be used.
          MixedSetError: if the number of channels differs from that of the set.
        """
        shape = header_shape(self.files, index)
        try:
            self._check_shape(shape, index)
        except (ImageError, MixedSetError):  # The orientation of a PNG may follow its pixels.
            shape = decode.header_shape(self.files.read(index), self.files.where(index))
            self._check_shape(shape, index)
        return shape

    def _check_shape(self, found: Shape, index: int) -> None:
        shape = self.transform.shape(found, self.files.where(index))
        self._check_channels(shape[2], index)

    def _check_channels(self, found: int, index: int) -> None:
        if found != self.image_shape[2]:
            raise MixedSetError(
                f"{self.files.where(index)}: the image has {_channels(found)}, but {self.files.where(self.first)} has "
                f"{_channels(self.image_shape[2])}; allowed: the same number in all images, or config.data.channels=1, "
                "3 or 4, which converts them"
            )


def split_names(names: list[str]) -> tuple[tuple[str, ...], int]:
    """Returns the sorted names of image files, and the number of other files that are not hidden."""
    visible = [name for name in names if not is_hidden(name)]
    found = sorted(name for name in visible if is_image(name))
    num_others = sum(PurePosixPath(name).name not in (labels.FILE_NAME, manifest.FILE_NAME) for name in visible)
    return tuple(found), num_others - len(found)


def ignored(count: int) -> str:
    """Returns the number of files that are not images, in words."""
    return "1 other file" if count == 1 else f"{count:,} other files"


def is_image(name: str) -> bool:
    """Returns whether the name of a file is that of an image."""
    return PurePosixPath(name).suffix.lower() in decode.SUFFIXES


def is_hidden(name: str) -> bool:
    """Returns whether a path is, or lies in, a hidden file or folder or one that macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def open_files(
    files: Files, found_labels: labels.Labels | None, request: ImageSpec, made: manifest.Manifest | None = None
) -> Source:
    """Builds a source of image files and the labels found beside them.

    Args:
      files: the image files; at least one.
      found_labels: their labels, or None if there are none or they are ignored.
      request: the requirements of the recipe.
      made: the manifest of a set that `flaxgan dataset` has made.

    Returns:
      The source. The first image has been decoded, and the headers of up to 1,000 evenly spaced images have been
      checked. Every image is checked again when it is read.

    Raises:
      FieldError: if the labels disagree with the request.
      ImageError: if an image disagrees with the request or cannot be read; with skipping, if none of the checked images
        can be used.
      MixedSetError: if images differ in channels, with or without skipping.
    """
    labels.check(found_labels, request, files.path)
    first, first_shape = _first_shape(files, request)
    transform = dataclasses.replace(request.transform, size=request.size or first_shape[:2])
    image_shape = transform.shape(first_shape, files.path)
    decoded = DecodedFiles(files, transform, image_shape, first)
    notes = _checked_headers(decoded, request)
    class_names = found_labels.class_names if found_labels else ()
    source = Source(
        images=decoded,
        image_shape=image_shape,
        labels=found_labels.values if found_labels else None,
        num_classes=len(class_names),
        class_names=class_names,
        description=describe(
            len(decoded), image_shape, len(class_names), _origin(files, request, first_shape), labels=request.labels
        ),
        notes=notes,
        skipped=Skipped() if request.on_error == "skip" else None,
        details=_details(files, made),
    )
    source[0]  # Detects damage after the headers of a whole set, such as a failed copy.
    return source


def _details(files: Files, made: manifest.Manifest | None) -> dict[str, str]:
    names = hashlib.sha256("\n".join(files.names).encode(errors="surrogateescape")).hexdigest()
    how = {"crop": made.crop, "resize": made.resize, "sha256": made.sha256} if made else {}
    return {"names": names, **how}


def _origin(files: Files, request: ImageSpec, first_shape: Shape) -> str:
    """Returns the origin of the images and their preprocessing."""
    height, width, channels = first_shape
    notes = [f"{ignored(files.num_ignored)} ignored"] if files.num_ignored else []
    if request.size not in (None, (height, width)):
        cropped = "cropped about the centre, " if request.crop == "center" else ""
        notes.append(f"the first is {height}x{width}; {cropped}resize {request.resize}")
    if request.channels not in (None, channels):
        notes.append(f"{CHANNEL_NAMES[channels]} converted to {CHANNEL_NAMES[request.channels]}")
    path = shown(files.path)
    return f"{path} ({'; '.join(notes)})" if notes else path


def header_shape(files: Files, index: int) -> Shape:
    """Returns the (H, W, C) of an image as declared by the header of its file."""
    try:
        return decode.header_shape(files.head(index), files.where(index))
    except ImageError:  # The header may be longer than the start of the file.
        return decode.header_shape(files.read(index), files.where(index))


def check_one_size(decoded: DecodedFiles) -> None:
    """Raises SizeError if the headers of up to 1,000 images declare several sizes; damaged images are ignored."""

    def check(index: int) -> None:
        try:
            decoded.check_header(index)
        except SizeError:
            raise
        except ImageError:
            pass

    _look_at_headers(decoded, check)


def _first_shape(files: Files, request: ImageSpec) -> tuple[int, Shape]:
    """Returns the index and shape of the first image; with skipping, of the first usable image."""
    transform = request.transform
    problem = ImageError(f"{files.path}: no image can be used")
    for index in range(len(files.names)):
        try:
            shape = decode.header_shape(files.read(index), files.where(index))
            transform.shape(shape, files.where(index))
            return index, shape
        except ImageError as error:
            problem = problem if index else error
            if request.on_error == "raise" or index + 1 == MAX_HEADERS_CHECKED:
                break
    raise problem


def _checked_headers(decoded: DecodedFiles, request: ImageSpec) -> tuple[str, ...]:
    """Checks the headers of up to 1,000 images; returns warnings about them."""

    def stretched(index: int) -> str | None:
        try:
            height, width, _ = decoded.check_header(index)
        except ImageError:
            if request.on_error == "raise":
                raise
            return None  # The image is skipped when it is read.
        if not decoded.transform.stretches(height, width):
            return None
        size = "{}x{}".format(*decoded.image_shape)
        return (
            f"warning: {decoded.files.where(index)} is {height}x{width} pixels and is stretched to {size}, as is every "
            "image of another aspect ratio; config.data.crop='center' crops them instead"
        )

    return tuple(filter(None, _look_at_headers(decoded, stretched)))[:1]


def _look_at_headers(decoded: DecodedFiles, look: Callable[[int], _T]) -> list[_T]:
    """Applies a function to the indices of up to 1,000 evenly spaced images."""
    count = min(len(decoded), MAX_HEADERS_CHECKED)
    indices = np.linspace(0, len(decoded) - 1, count).round().astype(int).tolist()
    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:  # Reads from buckets mostly wait.
        return list(pool.map(look, indices))


def _channels(count: int) -> str:
    return f"{count} channel{'s' if count > 1 else ''} ({CHANNEL_NAMES[count]})"
