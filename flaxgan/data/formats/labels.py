"""Labels of image files: from dataset.json (the StyleGAN format) or from sub-folders."""

import collections
import dataclasses
import json

import numpy as np

from flaxgan.data.image_spec import ImageSpec

FILE_NAME = "dataset.json"

_MAX_BYTES = 1 << 24  # of a label file, and for each image further ones
_MAX_IMAGE_BYTES = 1 << 16
_MAX_CLASSES = 1_000_000  # a larger label is an id or a date, not a class
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


class WrongKindError(ValueError):
    """Labels of the other kind than is asked for: classes or vectors."""


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """A label for each image.

    Attributes:
      values: classes, int32 [M], or vectors, float32 [M, K].
      class_names: a name for each class, or for each place of the vectors.
    """

    values: np.ndarray
    class_names: tuple[str, ...]


def from_json(data: bytes, names: tuple[str, ...], *, request: ImageSpec, where: str) -> Labels | None:
    """Labels from a file like {"labels": [["a/0.png", 3], ["a/1.png", 0], ...]}, with lists of numbers for vectors.

    Args:
      data: the file's bytes.
      names: the image files, each of which must have one label.
      request: of classes, which must stay below its num_classes where that is set, or of vectors.
      where: what to call the file in a message.

    Returns:
      The labels in the order of `names`; None where "labels" is null, which says that there are none.

    Raises:
      WrongKindError: if it has labels of the other kind.
      ValueError: if the file is malformed, or does not have one label for each image.
    """
    if len(data) > max_bytes(len(names)):
        allowed = f"up to {max_bytes(len(names)):,} for {len(names):,} images"
        raise ValueError(f"{where}: has {len(data):,} bytes or more; allowed: {allowed}")
    pairs = _pairs(data, where)
    if pairs is None:
        return None
    label_of = {}
    for name, label in pairs:
        if name in label_of:
            raise ValueError(f"{where}: the image {name!r} has more than one label; allowed: one each")
        label_of[name] = label
    _check_same_names(label_of.keys(), names, where)
    found = [(name, label_of[name]) for name in names]
    return _vectors(found, where) if request.labels == "vectors" else _classes(found, request.num_classes, where)


def max_bytes(num_images: int) -> int:
    """How large a label file may be. A few bytes of an archive can hold any number, which all take memory."""
    return _MAX_BYTES + _MAX_IMAGE_BYTES * num_images


def from_folders(names: tuple[str, ...], where: str) -> Labels | None:
    """Classes from the first folder in each name, in sorted order.

    A single folder around all images is no class: there are then no labels.

    Raises:
      ValueError: if some images lie in a folder and others do not.
    """
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    class_names = sorted({folder for folder in folders if folder is not None})
    if class_names and None in folders:
        raise ValueError(
            f"{where}: images both in sub-folders (such as {class_names[0]!r}), which are classes, and beside them "
            f"(such as {names[folders.index(None)]!r}). Move the latter into a sub-folder, add a {FILE_NAME}, or set "
            "data.num_classes=0 to ignore labels"
        )
    if len(class_names) < 2:
        return None
    index_of = {name: index for index, name in enumerate(class_names)}
    return Labels(np.array([index_of[folder] for folder in folders], np.int32), tuple(class_names))


def check_place(names: list[str], where: str) -> None:
    """Raises ValueError if a label file lies below the top, where it would have no effect.

    Args:
      names: path of each file, images or not.
      where: what to call the folder or archive in a message.
    """
    misplaced = [name for name in names if name.endswith(f"/{FILE_NAME}")]
    if misplaced and FILE_NAME not in names:
        raise ValueError(
            f"{where}: {misplaced[0]!r} is not at the top; allowed: {FILE_NAME!r} there, or data.num_classes=0 to "
            "ignore labels"
        )


def check(found: Labels | None, request: ImageSpec, where: str) -> None:
    """Raises ValueError unless the labels found are of the kind, and the number, that is asked for.

    Raises:
      WrongKindError: if they are of the other kind.
      ValueError: if they are of another number.
    """
    num_classes = request.num_classes
    if found is not None and (found.values.ndim > 1) != (request.labels == "vectors"):
        kind = "vectors" if found.values.ndim > 1 else "classes"
        raise WrongKindError(f"data.labels={request.labels!r}, but {where} has {kind}; allowed: {kind!r}")
    if num_classes is None or num_classes == (len(found.class_names) if found else 0):
        return
    if found is None:
        raise ValueError(
            f"data.num_classes={num_classes}, but {where} has no labels; allowed: 0, or add labels: a {FILE_NAME} "
            '{"labels": [["name.png", 0], ...]} at the top, or (in a folder) one sub-folder for each class'
        )
    count = len(found.class_names)
    has = f"{count} classes" if found.values.ndim == 1 else f"labels of {count} numbers"
    raise ValueError(f"data.num_classes={num_classes}, but {where} has {has}; allowed: {count}, or 0 to ignore labels")


def _pairs(data: bytes, where: str) -> list | None:
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
                f'{where}: entry {position} of "labels" is {_short(pair)}, no pair of name and label; {layout}'
            )
    return [(name.replace("\\", "/"), label) for name, label in pairs]


def _classes(found: list[tuple[str, object]], num_classes: int | None, where: str) -> Labels:
    limit = min(num_classes or _MAX_CLASSES, _MAX_CLASSES)
    for name, label in found:
        if isinstance(label, list):
            raise WrongKindError(
                f"{where}: the image {name!r} has a vector as label ({_short(label)}); allowed with "
                "data.labels='classes': a class index. Set data.labels='vectors', or data.num_classes=0 without labels"
            )
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < limit:
            raise ValueError(
                f"{where}: the image {name!r} has label {_short(label)}; allowed: integers 0 to {limit - 1} "
                "(data.num_classes)"
            )
    indices = np.array([label for _, label in found], np.int32)
    return Labels(indices, tuple(str(index) for index in range(int(indices.max()) + 1)))


def _vectors(found: list[tuple[str, object]], where: str) -> Labels:
    first_name, first = found[0]
    for name, label in found:
        if not (isinstance(label, list) and label and all(map(_is_float32, label))):
            raise ValueError(
                f"{where}: the image {name!r} has label {_short(label)}; allowed with data.labels='vectors': a list of "
                "finite numbers"
            )
        if len(label) != len(first):
            raise ValueError(
                f"{where}: the image {name!r} has a label of {len(label)} numbers, but {first_name!r} one of "
                f"{len(first)}; allowed: one length for all"
            )
    vectors = np.array([label for _, label in found], np.float32)
    return Labels(vectors, tuple(str(place) for place in range(len(first))))


def _is_float32(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _MAX_FLOAT32  # not so for NaN


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
