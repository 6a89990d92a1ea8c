"""Checks of module inputs that are optional in the signature but required by the module's settings."""

from typing import TypeVar

from flaxgan.errors import FieldError

T = TypeVar("T")


def given(name: str, value: T | None, allowed: str) -> T:
    """Returns the value of an optional input that a module requires.

    Args:
      name: name of the input.
      value: its value.
      allowed: description of the allowed values, for the message.

    Raises:
      FieldError: if it is None.
    """
    if value is None:
        raise FieldError(name, None, allowed)
    return value
