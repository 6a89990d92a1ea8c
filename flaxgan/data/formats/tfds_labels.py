"""Labels of TFDS sets: the choice of the feature, and its conversion to classes or vectors."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flaxgan.data.formats import label_cache
from flaxgan.data.formats.labels import Labels

_log = logging.getLogger(__name__)
_MANY_RECORDS = 100_000
_MAX_CLASSES = 1_000_000


def label_key(features: Mapping[str, Any], wanted: str | None, where: str) -> str | None:
    """Returns the name of the feature that holds the labels; None if there is none.

    Args:
      features: features of the set by name.
      wanted: the name in data.path; None takes "label" if it is a class, otherwise the only class.
      where: name of the set in messages.

    Raises:
      ValueError: if there is no such feature, or the choice is ambiguous.
    """
    if wanted is not None:
        if wanted not in features:
            raise ValueError(f"{where}: has no feature {wanted!r}; allowed as label: {', '.join(sorted(features))}")
        return wanted
    from tensorflow_datasets import features as tfds_features  # Slow to import.

    classes = sorted(name for name, feature in features.items() if isinstance(feature, tfds_features.ClassLabel))
    if "label" in classes:
        return "label"
    if len(classes) > 1:
        raise ValueError(f"{where}: has several labels; allowed: one of them ({', '.join(classes)}), as ?label=KEY")
    return classes[0] if classes else None


def collect(records: Sequence[Mapping[str, Any]], key: str, feature: Any, *, cache_key: str, where: str) -> Labels:
    """Collects the labels of all records.

    Args:
      records: examples of the set.
      key: name of the feature.
      feature: the feature, as TFDS describes it.
      cache_key: text that identifies the set's files; the labels are cached under it.
      where: name of the set in messages.

    Returns:
      Classes, for a ClassLabel or an integer; vectors, for a list of numbers or named numbers (sorted by name).

    Raises:
      ValueError: if the feature is of another kind, holds a value that is not allowed, or cannot be read.
    """
    to_number, dtype, names = _conversion(feature, key, where)

    def label(index: int) -> Any:
        try:
            return np.asarray(to_number(records[index][key]), dtype)
        except Exception as error:  # Damaged records and missing files raise anything.
            raise ValueError(f"{where}: record {index}: the label {key!r} cannot be read ({error})") from error

    def compute() -> np.ndarray:
        if len(records) >= _MANY_RECORDS:
            _log.warning("%s: reading %s records to collect their labels, once", where, f"{len(records):,}")
        return np.stack([label(index) for index in range(len(records))])

    values = label_cache.cached(f"{cache_key}\n{key}", compute)
    _check(values, names, f"{where}: the feature {key!r}")
    return Labels(values, names or tuple(str(index) for index in range(int(values.max()) + 1)))


def _conversion(feature: Any, key: str, where: str) -> tuple[Callable[[Any], Any], type, tuple[str, ...]]:
    """Returns the conversion of a value to numbers, their dtype, and the names of the classes or elements if known."""
    from tensorflow_datasets import features as tfds_features

    if isinstance(feature, tfds_features.ClassLabel):
        return int, np.int32, tuple(feature.names)
    if isinstance(feature, tfds_features.FeaturesDict):
        names = tuple(sorted(feature))
        if names and all(_is_tensor(feature[name], 0, "biuf") for name in names):
            return lambda value: [value[name] for name in names], np.float32, names
    if _is_tensor(feature, 0, "biu"):
        return int, np.int32, ()
    if _is_tensor(feature, 1, "biuf") and feature.shape[0]:
        return np.asarray, np.float32, tuple(str(index) for index in range(feature.shape[0]))
    raise ValueError(
        f"{where}: the feature {key!r} is {feature}; allowed as label: a class, a whole number, a list of numbers of "
        "one length, or named numbers"
    )


def _is_tensor(feature: Any, rank: int, kinds: str) -> bool:
    """Returns whether a feature is a plain array of numbers."""
    from tensorflow_datasets import features as tfds_features

    is_plain = isinstance(feature, tfds_features.Tensor) and not isinstance(feature, tfds_features.Image)
    return is_plain and len(feature.shape) == rank and np.dtype(feature.np_dtype).kind in kinds


def _check(values: np.ndarray, names: tuple[str, ...], where: str) -> None:
    if values.ndim > 1:
        if not np.isfinite(values).all():
            raise ValueError(f"{where} holds non-finite numbers")
        return
    limit = len(names) or _MAX_CLASSES
    wrong = values[(values < 0) | (values >= limit)]
    if len(wrong):
        raise ValueError(
            f"{where} holds {int(wrong[0])} as a class; allowed: 0 to {limit - 1}. A split without labels needs "
            "config.data.num_classes=0"
        )
