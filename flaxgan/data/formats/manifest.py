"""The manifest that `flaxgan dataset` writes beside the images: their number, how they were made, and a checksum."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

FILE_NAME = "manifest.json"
FORMAT = "flaxgan images 1"

_MAX_BYTES = 1 << 26  # A few bytes of an archive can expand to any amount of memory.

LABEL_KINDS = ("none", "classes", "vectors")

Label = int | list[float] | None
"""A class, a vector or no label, as in JSON."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of an array_record set.

    Attributes:
      name: name of the file.
      count: number of images in it.
      num_bytes: length of the file.
    """

    name: str
    count: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Content and origin of a converted set.

    Attributes:
      count: number of images.
      shape: (H, W, C) of each image.
      labels: "none", "classes" or "vectors".
      class_names: name of each class, or of each element of the vectors; empty without labels.
      crop: crop of the images, see `flaxgan.data.decoding.transform.Transform`.
      resize: filter that resized the images, see `flaxgan.data.decoding.transform.Transform`.
      source: kind and name of the original set.
      skipped: name and problem of each image of the original set that could not be used.
      made_by: the programs that made the set, with their versions.
      sha256: see `content_digest`.
      shards: the files of an array_record set, in order; empty for a ZIP archive.
    """

    count: int
    shape: tuple[int, int, int]
    labels: str
    class_names: tuple[str, ...]
    crop: str
    resize: str
    source: str
    skipped: tuple[str, ...]
    made_by: str
    sha256: str
    shards: tuple[Shard, ...] = ()

    def to_json(self) -> bytes:
        """Returns the manifest as the bytes of a file."""
        fields = {"format": FORMAT} | dataclasses.asdict(self)
        return (json.dumps(fields, indent=1) + "\n").encode()


def is_manifest(data: bytes) -> bool:
    """Returns whether a file is a flaxgan manifest of any version; other programs use the same file name."""
    if len(data) > _MAX_BYTES:
        return False
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return False
    found = fields.get("format") if isinstance(fields, dict) else None
    return isinstance(found, str) and found.startswith(FORMAT.rstrip("0123456789"))


def from_json(data: bytes, where: str) -> Manifest:
    """Reads a manifest.

    Args:
      data: bytes of the file.
      where: name of the file in messages.

    Raises:
      ValueError: if the file is not a manifest, of another version, or damaged; the message names the file and field.
    """
    if not is_manifest(data):
        raise ValueError(f"{where}: not a manifest that `flaxgan dataset` has written, or damaged")
    fields = json.loads(data)
    if fields.pop("format") != FORMAT:
        raise ValueError(f"{where}: of a newer version of flaxgan; allowed: {FORMAT!r}")
    names = [field.name for field in dataclasses.fields(Manifest)]
    for name in names:
        if name not in fields:
            raise ValueError(f"{where}: the field {name!r} is missing")
        if not _is_valid(name, fields[name]):
            raise ValueError(f"{where}: the field {name!r} is damaged: found {_short(fields[name])}")
    values = {name: fields[name] for name in names}
    values |= {name: tuple(values[name]) for name in ("shape", "class_names", "skipped")}
    values["shards"] = tuple(Shard(**shard) for shard in values["shards"])
    return Manifest(**values)


def content_digest(rows: Iterable[tuple[str, Label, str]]) -> str:
    """Computes a checksum of the content of a set, which does not depend on its file format.

    Args:
      rows: for each image, in the order of the set: name, label, and SHA-256 of the file in hexadecimal.

    Returns:
      The SHA-256, in hexadecimal, of one line of JSON for each image: ["00000/img00000000.png",3,"9f86d0..."].
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def json_label(labels: np.ndarray | None, index: int) -> Label:
    """Returns the label of an image as in JSON, from labels int32 [M], float32 [M, K] or None."""
    return None if labels is None else labels[index].tolist()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_valid(name: str, value: Any) -> bool:
    if name == "count":
        return _is_count(value)
    if name == "shape":
        return isinstance(value, list) and len(value) == 3 and all(_is_count(side) and side > 0 for side in value)
    if name == "labels":
        return value in LABEL_KINDS
    if name in ("class_names", "skipped"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name == "shards":
        return isinstance(value, list) and all(map(_is_shard, value))
    return isinstance(value, str)


def _is_shard(value: Any) -> bool:
    if not (isinstance(value, dict) and set(value) == {field.name for field in dataclasses.fields(Shard)}):
        return False
    name = value["name"]
    is_plain = isinstance(name, str) and name and "/" not in name and "\\" not in name
    return bool(is_plain) and _is_count(value["count"]) and _is_count(value["num_bytes"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
