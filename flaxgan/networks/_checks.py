"""Checks of the arguments of a family's `build`; errors name the field, the value found and the values allowed."""

from collections.abc import Iterable, Sequence
from typing import Any

from flaxgan.errors import FieldError


def require(condition: bool, field: str, found: Any, allowed: str) -> None:
    """Raises FieldError unless the condition holds."""
    if not condition:
        raise FieldError(field, found, allowed)


def shape_of(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Returns a checked image shape as a tuple (H, W, C)."""
    height, width, channels = image_shape
    return (height, width, channels)


def require_one_of(allowed: Iterable[str], **fields: Any) -> None:
    """Raises FieldError unless the value of every field is one of the allowed values."""
    allowed = tuple(allowed)
    for field, found in fields.items():
        require(found in allowed, field, found, ", ".join(allowed))


def require_integers(minimum: int, **fields: Any) -> None:
    """Raises FieldError unless every field is an integer of at least `minimum`."""
    for field, found in fields.items():
        is_integer = isinstance(found, int) and not isinstance(found, bool)
        require(is_integer and found >= minimum, field, found, f"an integer of at least {minimum}")


def require_optional_integers(minimum: int, **fields: Any) -> None:
    """Raises FieldError unless every field is None or an integer of at least `minimum`."""
    for field, found in fields.items():
        is_integer = isinstance(found, int) and not isinstance(found, bool)
        allowed = f"None or an integer of at least {minimum}"
        require(found is None or (is_integer and found >= minimum), field, found, allowed)


def require_odd(**fields: Any) -> None:
    """Raises FieldError unless every field is an odd integer above 0."""
    for field, found in fields.items():
        is_odd = isinstance(found, int) and not isinstance(found, bool) and found > 0 and found % 2 == 1
        require(is_odd, field, found, "an odd integer above 0")


def require_positive(**fields: Any) -> None:
    """Raises FieldError unless every field is a finite number above 0."""
    for field, found in fields.items():
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        require(is_number and 0 < found < float("inf"), field, found, "a finite number above 0")


def require_shares(**fields: Any) -> None:
    """Raises FieldError unless every field is a number in [0, 1]."""
    for field, found in fields.items():
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        require(is_number and 0 <= found <= 1, field, found, "a number in [0, 1]")


def require_booleans(**fields: Any) -> None:
    """Raises FieldError unless every field is True or False."""
    for field, found in fields.items():
        require(isinstance(found, bool), field, found, "True or False")
