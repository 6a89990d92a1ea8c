"""What `flaxgan dataset` writes into a set beside the images: how many they are, how they were made, a checksum."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

FILE_NAME = "manifest.json"
FORMAT = "flaxgan images 1"

_MAX_BYTES = 1 << 26  # A few bytes of an archive can hold any number, which all take memory.

LABEL_KINDS = ("none", "classes", "vectors")

Label = int | list[float] | None
"""A class, a vector or nothing, as JSON has it."""


class Shard(NamedTuple):
    """A file of an array_record set: its name, how many images it holds, and how many bytes long it is."""

    name: str
    count: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a set holds and how it was made.

    Attributes:
      count: number of images.
      shape: (H, W, C) of each.
      labels: "none", "classes" or "vectors".
      class_names: a name for each class, or for each place of the vectors; empty without labels.
      crop: how the images were cropped, see `flaxgan.data.decoding.transform.Transform`.
      resize: the filter they were resized with, likewise.
      source: kind and name of the set that they come from.
      skipped: of each image of that set that could not be used, its name and why.
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
        """The manifest as a file's bytes."""
        fields = {"format": FORMAT} | dataclasses.asdict(self)
        fields["shards"] = [dict(zip(Shard._fields, shard)) for shard in self.shards]
        return (json.dumps(fields, indent=1) + "\n").encode()


def is_manifest(data: bytes) -> bool:
    """Whether a file is a manifest of ours, of any version; other programs use the name as well."""
    if len(data) > _MAX_BYTES:
        return False
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return False
    found = fields.get("format") if isinstance(fields, dict) else None
    return isinstance(found, str) and found.startswith(FORMAT.rstrip("0123456789"))


def from_json(data: bytes, where: str) -> Manifest:
    """The manifest in a file's bytes.

    Args:
      data: the file's bytes.
      where: what to call the file in a message.

    Raises:
      ValueError: if it is no manifest, of another version, or not whole; the message names it and the field.
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
    """A checksum of a set's content, whatever file it lies in.

    Args:
      rows: of each image, in the set's order, its name, its label, and the SHA-256 of its file in hexadecimal.

    Returns:
      The SHA-256, in hexadecimal, of one line of JSON for each image: ["00000/img00000000.png",3,"9f86d0..."].
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def json_label(labels: np.ndarray | None, index: int) -> Label:
    """The label of an image as JSON has it, from labels int32 [M], float32 [M, K] or None."""
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
    if not (isinstance(value, dict) and set(value) == set(Shard._fields)):
        return False
    name = value["name"]
    is_plain = isinstance(name, str) and name and "/" not in name and "\\" not in name
    return bool(is_plain) and _is_count(value["count"]) and _is_count(value["num_bytes"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
