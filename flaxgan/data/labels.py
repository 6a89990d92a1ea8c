"""Class labels of image files: from dataset.json (the StyleGAN format) or from sub-folders."""

import collections
import dataclasses
import json

import numpy as np

FILE_NAME = "dataset.json"

_MAX_CLASSES = 1_000_000  # a larger label is an id or a date, not a class


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """A class for each image.

    Attributes:
      indices: int32 [M].
      class_names: a name for each class.
    """

    indices: np.ndarray
    class_names: tuple[str, ...]


def from_json(data: bytes, names: tuple[str, ...], *, num_classes: int | None, where: str) -> Labels | None:
    """Labels from a file like {"labels": [["a/0.png", 3], ["a/1.png", 0], ...]}.

    Args:
      data: the file's bytes.
      names: the image files, each of which must have one label.
      num_classes: the field data.num_classes, which labels must stay below where it is set.
      where: what to call the file in a message.

    Returns:
      The labels in the order of `names`; None where "labels" is null, which says that there are none.

    Raises:
      ValueError: if the file is malformed, or does not have one class index for each image.
    """
    pairs = _pairs(data, where)
    if pairs is None:
        return None
    max_classes = min(num_classes or _MAX_CLASSES, _MAX_CLASSES)
    label_of = {}
    for name, label in pairs:
        if name in label_of:
            raise ValueError(f"{where}: the image {name!r} has more than one label; allowed: one each")
        label_of[name] = _checked_label(label, max_classes, f"{where}: the image {name!r}")
    _check_same_names(label_of.keys(), names, where)
    indices = np.array([label_of[name] for name in names], np.int32)
    return Labels(indices, tuple(str(index) for index in range(int(indices.max()) + 1)))


def from_folders(names: tuple[str, ...], where: str) -> Labels | None:
    """Labels from the first folder in each name, in sorted order.

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


def check_num_classes(found: Labels | None, num_classes: int | None, where: str) -> None:
    """Raises ValueError unless the field data.num_classes, where it is set, is that of the labels found."""
    if num_classes is None or num_classes == (len(found.class_names) if found else 0):
        return
    if found is None:
        raise ValueError(
            f"data.num_classes={num_classes}, but {where} has no labels; allowed: 0, or add labels: a {FILE_NAME} "
            '{"labels": [["name.png", 0], ...]} at the top, or (in a folder) one sub-folder for each class'
        )
    raise ValueError(
        f"data.num_classes={num_classes}, but {where} has {len(found.class_names)} classes; allowed: "
        f"{len(found.class_names)}, or 0 to ignore labels"
    )


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
                f'{where}: entry {position} of "labels" is {_short(pair)}, no pair of name and class; {layout}'
            )
    return [(name.replace("\\", "/"), label) for name, label in pairs]


def _checked_label(label: object, max_classes: int, image: str) -> int:
    if isinstance(label, list):
        raise ValueError(
            f"{image} has a vector as label ({_short(label)}), which is not supported yet; allowed: a class index. Set "
            "data.num_classes=0 to ignore labels"
        )
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < max_classes:
        raise ValueError(
            f"{image} has label {_short(label)}; allowed: integers 0 to {max_classes - 1} (data.num_classes)"
        )
    return label


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
