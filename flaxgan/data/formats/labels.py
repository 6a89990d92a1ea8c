"""Labels of image files: from dataset.json (the StyleGAN format) or from sub-folders."""

import collections
import dataclasses
import json
from typing import Any

import numpy as np

from flaxgan.data.image_spec import ImageSpec
from flaxgan.errors import FieldError

FILE_NAME = "dataset.json"

_MAX_BYTES = 1 << 24  # Largest label file, plus the allowance for each image.
_MAX_IMAGE_BYTES = 1 << 16
_MAX_CLASSES = 1_000_000  # A larger label is an id or a date, not a class.
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


class WrongKindError(FieldError):
    """Classes where the recipe asks for label vectors, or label vectors where it asks for classes."""


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """A label for each image.

    Attributes:
      values: classes, int32 [M], or vectors, float32 [M, K].
      class_names: name of each class, or of each element of the vectors.
    """

    values: np.ndarray
    class_names: tuple[str, ...]


def from_json(data: bytes, names: tuple[str, ...], *, request: ImageSpec, where: str) -> Labels | None:
    """Reads labels from a file like {"labels": [["a/0.png", 3], ["a/1.png", 0], ...]}; vectors are lists of numbers.

    Args:
      data: bytes of the file.
      names: the image files, each of which must have one label.
      request: asks for classes, below its num_classes if that is set, or for vectors.
      where: name of the file in messages.

    Returns:
      The labels in the order of `names`; None if "labels" is null, which means that there are no labels.

    Raises:
      WrongKindError: if the file has labels of the other kind.
      ValueError: if the file is malformed, or does not have exactly one label for each image.
    """
    if len(data) > max_bytes(len(names)):
        allowed = f"up to {max_bytes(len(names)):,} for {len(names):,} images"
        raise ValueError(f"{where}: has {len(data):,} bytes or more; allowed: {allowed}")
    pairs = _pairs(data, where)
    if pairs is None:
        return None
    label_of: dict[str, Any] = {}
    for name, label in pairs:
        if name in label_of:
            raise ValueError(f"{where}: the image {name!r} has more than one label; allowed: one for each image")
        label_of[name] = label
    _check_same_names(label_of.keys(), names, where)
    found = [(name, label_of[name]) for name in names]
    return _vectors(found, where) if request.labels == "vectors" else _classes(found, request.num_classes, where)


def max_bytes(num_images: int) -> int:
    """Returns the largest size of a label file: a few bytes of an archive can expand to any amount of memory."""
    return _MAX_BYTES + _MAX_IMAGE_BYTES * num_images


def from_folders(names: tuple[str, ...], where: str) -> Labels | None:
    """Returns classes from the first folder in each name, in sorted order.

    A single folder around all images is not a class: there are no labels then.

    Raises:
      ValueError: if only some of the images lie in a folder.
    """
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    class_names = sorted({folder for folder in folders if folder is not None})
    if class_names and None in folders:
        raise ValueError(
            f"{where}: images both in sub-folders (such as {class_names[0]!r}), which are classes, and beside them "
            f"(such as {names[folders.index(None)]!r}). Move the latter into a sub-folder, add a {FILE_NAME}, or set "
            "config.data.num_classes=0 to ignore labels"
        )
    if len(class_names) < 2:
        return None
    index_of: dict[str | None, int] = {name: index for index, name in enumerate(class_names)}
    return Labels(np.array([index_of[folder] for folder in folders], np.int32), tuple(class_names))


def check_place(names: list[str], where: str) -> None:
    """Raises ValueError if a label file lies below the top level, where it has no effect.

    Args:
      names: path of each file, including files that are not images.
      where: name of the folder or archive in messages.
    """
    misplaced = [name for name in names if name.endswith(f"/{FILE_NAME}")]
    if misplaced and FILE_NAME not in names:
        raise ValueError(
            f"{where}: {misplaced[0]!r} is not at the top; allowed: {FILE_NAME!r} there, or config.data.num_classes=0 "
            "to ignore labels"
        )


def check(found: Labels | None, request: ImageSpec, where: str) -> None:
    """Checks that labels have the kind and the number that a recipe asks for.

    Raises:
      WrongKindError: if the labels are of the other kind.
      FieldError: if their number differs.
    """
    num_classes = request.num_classes
    if found is not None and (found.values.ndim > 1) != (request.labels == "vectors"):
        kind = "vectors" if found.values.ndim > 1 else "classes"
        raise WrongKindError("config.data.labels", request.labels, f"{kind!r}, because {where} has {kind}")
    if num_classes is None or num_classes == (len(found.class_names) if found else 0):
        return
    if found is None:
        allowed = (
            f"0, because {where} has no labels; or add labels: a {FILE_NAME} "
            '{"labels": [["name.png", 0], ...]} at the top, or (in a folder) one sub-folder for each class'
        )
        raise FieldError("config.data.num_classes", num_classes, allowed)
    count = len(found.class_names)
    has = f"{count} classes" if found.values.ndim == 1 else f"labels of {count} numbers"
    allowed = f"{count}, because {where} has {has}, or 0 to ignore labels"
    raise FieldError("config.data.num_classes", num_classes, allowed)


def _pairs(data: bytes, where: str) -> list[tuple[str, Any]] | None:
    layout = 'allowed: {"labels": [["name.png", 0], ...]} or {"labels": null}'
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not a JSON file ({error}); {layout}") from error
    if not isinstance(content, dict) or "labels" not in content:
        raise ValueError(f'{where}: no entry "labels"; {layout}')
    pairs = content["labels"]
    if pairs is None:
        return None
    if not isinstance(pairs, list):
        raise ValueError(f'{where}: "labels" is a {type(pairs).__name__}; {layout}')
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(
                f'{where}: entry {position} of "labels" is {_short(pair)}, not a pair of name and label; {layout}'
            )
    return [(name.replace("\\", "/"), label) for name, label in pairs]


def _classes(found: list[tuple[str, Any]], num_classes: int | None, where: str) -> Labels:
    limit = min(num_classes or _MAX_CLASSES, _MAX_CLASSES)
    for name, label in found:
        if isinstance(label, list):
            allowed = (
                f"'vectors', because in {where} the image {name!r} has a vector as label ({_short(label)}); or "
                "config.data.num_classes=0 to ignore labels"
            )
            raise WrongKindError("config.data.labels", "classes", allowed)
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < limit:
            raise ValueError(
                f"{where}: the image {name!r} has label {_short(label)}; allowed: integers 0 to {limit - 1} "
                "(config.data.num_classes)"
            )
    indices = np.array([label for _, label in found], np.int32)
    return Labels(indices, tuple(str(index) for index in range(int(indices.max()) + 1)))


def _vectors(found: list[tuple[str, Any]], where: str) -> Labels:
    first_name, first = found[0]
    for name, label in found:
        if not (isinstance(label, list) and label and all(map(_is_float32, label))):
            raise ValueError(
                f"{where}: the image {name!r} has label {_short(label)}; allowed with config.data.labels='vectors': a "
                "list of finite numbers"
            )
        if len(label) != len(first):
            raise ValueError(
                f"{where}: the image {name!r} has a label of {len(label)} numbers, but {first_name!r} one of "
                f"{len(first)}; allowed: one length for all"
            )
    vectors = np.array([label for _, label in found], np.float32)
    return Labels(vectors, tuple(str(index) for index in range(len(first))))


def _is_float32(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _MAX_FLOAT32  # False for NaN.


def _check_same_names(labelled: collections.abc.Set, names: tuple[str, ...], where: str) -> None:
    unlabelled = [name for name in names if name not in labelled]
    if unlabelled:
        raise ValueError(
            f"{where}: {len(unlabelled):,} of {len(names):,} images have no label, such as {unlabelled[0]!r}; allowed: "
            "one label for each image"
        )
    missing = sorted(labelled - set(names))
    if missing:
        raise ValueError(
            f"{where}: {len(missing):,} labelled images are missing, such as {missing[0]!r}; allowed: names of images "
            f"beside {FILE_NAME}, with forward slashes"
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
