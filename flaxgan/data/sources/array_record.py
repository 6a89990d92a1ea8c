"""Folders that `flaxgan dataset --format array_record` wrote: image files as records with random access.

    manifest.json               see `flaxgan.data.formats.manifest.Manifest`
    labels.npy                  classes, int32 [M], or vectors, float32 [M, K]; absent without labels
    images-00000.array_record   and so on, in the order of the manifest: one record for each image

Each record is a msgpack map with "name" (text), "label" (a number, a list of numbers or nil) and "image" (the bytes of
a PNG, JPEG or WebP file). Besides local folders, gs:// addresses are read.
"""

import bisect
import io
import itertools
import os

import numpy as np
from etils import epath

from flaxgan.data import field_checks
from flaxgan.data.formats import image_files, labels, manifest, records, storage
from flaxgan.data.formats.manifest import Manifest
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source

LAYOUT = (
    "a folder that `flaxgan dataset SRC DEST --format array_record` has written (config.data.source='array_record')"
)
LABELS_NAME = "labels.npy"


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens an array_record set; see `flaxgan.data.open_source`.

    The number of records and the sizes of its files must be those of its manifest.
    """
    field_checks.check_image_channels(request.channels)
    root = existing_set(path)
    found = RecordFiles(os.fspath(root))
    return image_files.open_files(found, None if request.num_classes == 0 else found.labels(), request, found.manifest)


def read_manifest(root: epath.Path) -> Manifest:
    """Reads the manifest of a set.

    Raises:
      ValueError: if the manifest cannot be read.
    """
    path = root / manifest.FILE_NAME
    return manifest.from_json(storage.read_all(os.fspath(path)), os.fspath(path))


class RecordFiles:
    """The images of an array_record set; see `flaxgan.data.formats.image_files.Files`."""

    def __init__(self, path: str) -> None:
        root = epath.Path(path)
        self.path = path
        self.num_ignored = 0
        self.manifest = read_manifest(root)
        self._files = [_open_shard(root, shard) for shard in self.manifest.shards]
        self._ends = list(itertools.accumulate(map(len, self._files)))
        if self._ends[-1:] != [self.manifest.count] or not self.manifest.count:
            total = self._ends[-1] if self._ends else 0
            where = f"{path}/{manifest.FILE_NAME}"
            raise ValueError(f"{where}: says {self.manifest.count:,} images, but its files hold {total:,}")
        self.names = tuple(f"record {index}" for index in range(self.manifest.count))

    def __reduce__(self) -> tuple:
        # Open files do not travel between processes: another process opens them again.
        return RecordFiles, (self.path,)

    def read(self, index: int) -> bytes:
        """Reads a whole image file."""
        return self.record(index).image

    def head(self, index: int) -> bytes:
        """Reads a whole image file: records are not read in parts."""
        return self.read(index)

    def where(self, index: int) -> str:
        """Returns the name of an image in messages."""
        file, place = self._place(index)
        return f"{file.path}: record {place}"

    def record(self, index: int) -> records.Record:
        """Reads an image with its name and its label."""
        file, place = self._place(index)
        return records.from_bytes(file.read(place), f"{file.path}: record {place}")

    def labels(self) -> labels.Labels | None:
        """Reads the labels of all images; None if the set has no labels."""
        return None if self.manifest.labels == "none" else _labels(epath.Path(self.path), self.manifest)

    def _place(self, index: int) -> tuple[records.RecordFile, int]:
        shard = bisect.bisect_right(self._ends, index)
        file = self._files[shard]
        return file, index - (self._ends[shard] - len(file))


def existing_set(path: str | os.PathLike[str]) -> epath.Path:
    """Returns config.data.path as the folder of a set, on this machine or in a bucket.

    Raises:
      FieldError: if the path is not such a folder.
      FileNotFoundError: if there is nothing at the path.
    """
    root = epath.Path(field_checks.existing_path(path, LAYOUT))
    if not (root / manifest.FILE_NAME).exists():
        raise field_checks.path_error(path, f"which has no {manifest.FILE_NAME}", LAYOUT)
    return root


def _open_shard(root: epath.Path, shard: manifest.Shard) -> records.RecordFile:
    path = root / shard.name
    try:
        num_bytes = path.stat().length
    except Exception as error:  # Clients of buckets raise anything.
        raise ValueError(f"{path}: the file is missing or cannot be read; {manifest.FILE_NAME} lists it") from error
    if num_bytes != shard.num_bytes:
        raise ValueError(
            f"{path}: has {num_bytes:,} bytes; {manifest.FILE_NAME} says {shard.num_bytes:,}. A copy may have been cut "
            "short"
        )
    file = records.RecordFile(os.fspath(path))
    if len(file) != shard.count:
        raise ValueError(f"{path}: holds {len(file):,} readable records; {manifest.FILE_NAME} says {shard.count:,}")
    return file


def _labels(root: epath.Path, found: Manifest) -> labels.Labels:
    path = root / LABELS_NAME
    data = storage.read_all(os.fspath(path))
    try:
        values = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # Damaged bytes raise anything, including MemoryError.
        raise ValueError(f"{path}: the labels cannot be read ({error})") from error
    count, width = found.count, len(found.class_names)
    dtype, shape = (np.int32, (count,)) if found.labels == "classes" else (np.float32, (count, width))
    if values.dtype != dtype or values.shape != shape:
        expected = f"{np.dtype(dtype)} {list(shape)}"
        raise ValueError(f"{path}: holds {values.dtype} {list(values.shape)}; {manifest.FILE_NAME} says {expected}")
    if found.labels == "classes" and not (values.min() >= 0 and values.max() < width):
        raise ValueError(f"{path}: holds classes {values.min()} to {values.max()}; allowed: 0 to {width - 1}")
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: holds non-finite numbers")
    return labels.Labels(values, found.class_names)
