"""Which feature of a TFDS set is the label, and what it means."""

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
    """The name of the feature that holds the labels; None where there is none.

    Args:
      features: the set's features, by name.
      wanted: the name that data.path gives, or None: then "label" if that is a class, or else the only class.
      where: what to call the set in a message.

    Raises:
      ValueError: if there is no such feature, or several could be meant.
    """
    if wanted is not None:
        if wanted not in features:
            raise ValueError(f"{where}: has no feature {wanted!r}; allowed as label: {', '.join(sorted(features))}")
        return wanted
    from tensorflow_datasets import features as tfds_features  # slow to import

    classes = sorted(name for name, feature in features.items() if isinstance(feature, tfds_features.ClassLabel))
    if "label" in classes:
        return "label"
    if len(classes) > 1:
        raise ValueError(f"{where}: has several labels; allowed: one of them ({', '.join(classes)}), as ?label=KEY")
    return classes[0] if classes else None


def collect(records: Sequence[Mapping[str, Any]], key: str, feature: Any, *, identity: str, where: str) -> Labels:
    """The labels of all records.

    Args:
      records: the set's examples.
      key: the feature's name.
      feature: the feature, as TFDS describes it.
      identity: what the labels depend on, as text; they are kept under it.
      where: what to call the set in a message.

    Returns:
      Classes of a ClassLabel or a whole number; vectors of a list of numbers or of named numbers (in order of names).

    Raises:
      ValueError: if the feature is of another kind, holds a value that is not allowed, or cannot be read.
    """
    to_number, dtype, names = _meaning(feature, key, where)

    def label(index: int) -> Any:
        try:
            return np.asarray(to_number(records[index][key]), dtype)
        except Exception as error:  # damaged records and missing files raise anything
            raise ValueError(f"{where}: record {index}: the label {key!r} cannot be read ({error})") from error

    def compute() -> np.ndarray:
        if len(records) >= _MANY_RECORDS:
            _log.warning("%s: reading %s records to collect their labels, once", where, f"{len(records):,}")
        return np.stack([label(index) for index in range(len(records))])

    values = label_cache.cached(f"{identity}\n{key}", compute)
    _check(values, names, f"{where}: the feature {key!r}")
    return Labels(values, names or tuple(str(index) for index in range(int(values.max()) + 1)))


def _meaning(feature: Any, key: str, where: str) -> tuple[Callable, type, tuple[str, ...]]:
    """How a value becomes numbers, their type, and the names of the classes or places, where they are known."""
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
        return np.asarray, np.float32, tuple(str(place) for place in range(feature.shape[0]))
    raise ValueError(
        f"{where}: the feature {key!r} is {feature}; allowed as label: a class, a whole number, a list of numbers of "
        "one length, or named numbers"
    )


def _is_tensor(feature: Any, rank: int, kinds: str) -> bool:
    """Whether a feature is a plain array of numbers."""
    from tensorflow_datasets import features as tfds_features

    is_plain = isinstance(feature, tfds_features.Tensor) and not isinstance(feature, tfds_features.Image)
    return is_plain and len(feature.shape) == rank and np.dtype(feature.np_dtype).kind in kinds


def _check(values: np.ndarray, names: tuple[str, ...], where: str) -> None:
    if values.ndim > 1:
        if not np.isfinite(values).all():
            raise ValueError(f"{where} holds numbers that are not finite")
        return
    limit = len(names) or _MAX_CLASSES
    wrong = values[(values < 0) | (values >= limit)]
    if len(wrong):
        raise ValueError(
            f"{where} holds {int(wrong[0])} as a class; allowed: 0 to {limit - 1}. A split without labels needs "
            "data.num_classes=0"
        )
