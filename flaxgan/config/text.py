"""Conversion of configs to and from JSON text, and comparison of two configs."""

import dataclasses
import json
from typing import Any

from flaxgan.config.run import Config
from flaxgan.errors import FieldError, Words


def to_json(config: Config) -> str:
    """Returns a config as JSON text, with one field on each line."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Returns the config that `to_json` wrote.

    Raises:
      ValueError: if the text is not JSON, or a field is missing or unknown.
      FieldError: if the value of a field is not allowed.
    """
    try:
        return _build(Config, json.loads(text), "config")
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Returns the fields in which two configs differ: dotted name -> (old value, new value)."""
    flat_old, flat_new = (_flatten(json.loads(to_json(config))) for config in (old, new))
    names = [*flat_old, *(name for name in flat_new if name not in flat_old)]
    pairs = {name: (flat_old.get(name, "(absent)"), flat_new.get(name, "(absent)")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _build(cls: type, values: Any, where: str) -> Any:
    """Builds a dataclass, with its nested dataclasses, from plain JSON values."""
    if not isinstance(values, dict):
        raise FieldError(where, values, f"an object with the fields of {cls.__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = [name for name in values if name not in fields]
    if unknown:
        raise FieldError(where, Words(f"unknown field {unknown[0]!r}"), ", ".join(fields))
    missing = [name for name, field in fields.items() if name not in values and _has_no_default(field)]
    if missing:
        raise ValueError(f"{where}: missing field {missing[0]!r}")
    built = {}
    for name, value in values.items():
        kind = fields[name].type
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            built[name] = _build(kind, value, f"{where}.{name}")
        else:
            built[name] = _tuples(value)
    return cls(**built)


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _tuples(value: Any) -> Any:
    """Converts the lists of JSON to the tuples of configs."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat
