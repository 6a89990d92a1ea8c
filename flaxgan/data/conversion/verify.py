"""Verification of a converted set: reads every image and compares the checksum with that of the manifest."""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable

from flaxgan.data.errors import ImageError
from flaxgan.data.formats import manifest
from flaxgan.data.formats.manifest import Label, Manifest
from flaxgan.data.sources import array_record
from flaxgan.data.sources import zip as zip_source

ReadImage = Callable[[int], tuple[str, Label, bytes]]
"""Maps the index of an image to its name, its label and its file."""


def verify(path: pathlib.Path, progress: Callable[[int, int], None] = lambda done, count: None) -> list[str]:
    """Reads a whole set.

    Args:
      path: a ZIP archive or an array_record folder that `flaxgan dataset` has made.
      progress: called after each image with the number of verified images and the number of all images.

    Returns:
      Problems: each damaged image by name, or that the checksum differs; empty for an intact set.

    Raises:
      ValueError: if the path is not such a set, or cannot be opened.
      FileNotFoundError: if there is nothing at the path.
    """
    found, read_image = _records(path) if path.is_dir() else _archive(path)
    problems: list[str] = []
    content: list[tuple[str, Label, str]] = []
    for index in range(found.count):
        try:
            name, label, image = read_image(index)
            content.append((name, label, hashlib.sha256(image).hexdigest()))
        except ImageError as error:
            problems.append(str(error))
        progress(index + 1, found.count)
    if not problems and manifest.content_digest(content) != found.sha256:
        problems.append(f"{path}: names, labels or images are not those that {manifest.FILE_NAME} has the checksum of")
    return problems


def read_manifest(path: pathlib.Path) -> Manifest:
    """Reads the manifest of such a set, without its images; raises as `verify` does."""
    if path.is_dir():
        return array_record.read_manifest(array_record.existing_set(path))
    return _archive_manifest(zip_source.open_archive(path))


def _archive_manifest(archive: zip_source.ZipFiles) -> Manifest:
    found = archive.manifest()
    if found is None:
        raise ValueError(f"{archive.path}: has no {manifest.FILE_NAME}; allowed: a set that `flaxgan dataset` has made")
    if found.count != len(archive.names):
        raise ValueError(f"{archive.path}: holds {len(archive.names):,} images; {manifest.FILE_NAME}: {found.count:,}")
    return found


def _archive(path: pathlib.Path) -> tuple[Manifest, ReadImage]:
    archive = zip_source.open_archive(path)
    found = _archive_manifest(archive)
    try:
        label_of = dict(json.loads(archive.read_labels() or b"{}").get("labels") or ())
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: its labels cannot be read ({error})") from error

    def read_image(index: int) -> tuple[str, Label, bytes]:
        return archive.names[index], label_of.get(archive.names[index]), archive.read(index)

    return found, read_image


def _records(path: pathlib.Path) -> tuple[Manifest, ReadImage]:
    records = array_record.RecordFiles(os.fspath(array_record.existing_set(path)))
    labels = records.labels()
    values = None if labels is None else labels.values

    def read_image(index: int) -> tuple[str, Label, bytes]:
        record = records.record(index)
        if record.label != manifest.json_label(values, index):
            raise ImageError(f"{records.where(index)}: its label is not the one in {array_record.LABELS_NAME}")
        return record

    return records.manifest, read_image
