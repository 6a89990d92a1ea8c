"""Checks of the values in a config."""

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from flaxgan.errors import FieldError


def require(condition: bool, field: str, found: Any, allowed: str) -> None:
    """Raises a FieldError of `config.{field}` unless the condition holds."""
    if not condition:
        raise FieldError(f"config.{field}", found, allowed)


def require_types(config: Any, prefix: str = "") -> None:
    """Checks that every field has its declared type: a recipe is code, whose types Python does not check."""
    for name, kind in get_type_hints(type(config)).items():
        allowed = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "").removeprefix("Literal")
        require(_is_a(getattr(config, name), kind), f"{prefix}{name}", getattr(config, name), allowed)


def require_plain(field: str, value: Any) -> None:
    """Checks that a value, with everything inside it, can be written to a file and read back."""
    if isinstance(value, dict):
        for key, item in value.items():
            require(isinstance(key, str), field, value, "names as text")
            require_plain(f"{field}.{key}", item)
    elif isinstance(value, list | tuple):
        for item in value:
            require_plain(field, item)
    else:
        allowed = "a plain number, text, True, False or None, or tuples of them"
        require(value is None or isinstance(value, bool | int | float | str), field, value, allowed)


def _is_a(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_is_a(value, one) for one in arguments)
    if origin is tuple and isinstance(value, tuple):
        kinds = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        return len(value) == len(kinds) and all(map(_is_a, value, kinds))
    if origin is dict and isinstance(value, dict):
        return all(_is_a(key, arguments[0]) and _is_a(item, arguments[1]) for key, item in value.items())
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return kind is Any or isinstance(value, origin or kind)
