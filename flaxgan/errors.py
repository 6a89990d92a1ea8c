"""Errors that name a field, the value found there, and the values allowed."""

from typing import Any


class FieldError(ValueError):
    """A value of a field that is not allowed.

    The message has one grammar: "config.data.path: found 'x', allowed: ...". The user sees it as it is, so `field` is
    spelled the way the user sets it: "config.batch_size", "--resume", "images".

    Attributes:
      field: name of the field or argument.
      found: the value found.
      allowed: the allowed values, in words.
    """

    def __init__(self, field: str, found: Any, allowed: str) -> None:
        """Builds the message; text is shown in quotes, `Words` and everything else as `str` prints it.

        Args:
          field: name of the field or argument, spelled the way the user sets it.
          found: the value found. Strings are quoted; wrap a description such as "3 images" in `Words`.
          allowed: the allowed values, in words.
        """
        shown = found if isinstance(found, Words) else repr(found)
        super().__init__(f"{field}: found {shown}, allowed: {allowed}")
        self.field, self.found, self.allowed = field, found, allowed


class Words(str):
    """A description of what was found, shown without quotes."""

    __slots__ = ()
