"""Strict reading of the constructor arguments of the reference's classes: each is taken by name and type."""

from collections.abc import Iterable
from typing import Any

from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.pickle_machine import PickleRefused

LARGEST_INTEGER = 2**20


class Arguments:
    """The arguments of one constructor call.

    `finish` refuses every argument that was not taken before, so that none is overlooked.

    Attributes:
      owner: name of the module in messages.
    """

    def __init__(self, values: dict[str, Any], owner: str) -> None:
        self._values = dict(values)
        self.owner = owner

    @classmethod
    def of(cls, record: ModuleRecord, owner: str, positional: Iterable[str]) -> "Arguments":
        """Binds the arguments of a module's constructor to their names.

        Args:
          record: the module.
          owner: name of the module in messages.
          positional: the constructor's parameter names, in order.

        Raises:
          PickleRefused: if there are too many positional arguments, or one is given twice.
        """
        names = tuple(positional)
        if len(record.init_args) > len(names):
            raise PickleRefused(f"{owner}: found {len(record.init_args)} constructor arguments, allowed: {len(names)}")
        values = dict(zip(names, record.init_args, strict=False))
        repeated = sorted(set(values) & set(record.init_kwargs))
        if repeated:
            raise PickleRefused(f"{owner}.{repeated[0]}: the constructor argument is given twice")
        return cls(values | record.init_kwargs, owner)

    def require(self, name: str, *kinds: type) -> Any:
        """Takes an argument that has no default in the constructor."""
        if name not in self._values:
            raise PickleRefused(f"{self.owner}.{name}: the constructor argument is missing")
        return self.take(name, ..., *kinds)

    def take(self, name: str, default: Any, *kinds: type) -> Any:
        """Takes an argument of one of the given types, or returns the default."""
        value = self._values.pop(name, default)
        if value is default:
            return value
        if type(value) not in kinds or (type(value) is int and abs(value) > LARGEST_INTEGER):
            allowed = ", ".join(kind.__name__ for kind in kinds)
            allowed += f" (at most {LARGEST_INTEGER} in magnitude)" if int in kinds else ""
            raise PickleRefused(f"{self.owner}.{name}: found {str(value)[:60]!r}, allowed: {allowed}")
        return value

    def take_filter(self, name: str) -> tuple[float, ...]:
        """Takes the taps of a FIR filter; the reference's default is [1, 3, 3, 1]."""
        taps = self.take(name, [1, 3, 3, 1], list, tuple)
        if not taps or not all(type(tap) in (int, float) for tap in taps):
            raise PickleRefused(f"{self.owner}.{name}: found {str(taps)[:60]!r}, allowed: a list of numbers")
        return tuple(taps)

    def nested(self, name: str) -> "Arguments":
        """Takes an argument that holds the keyword arguments of a submodule."""
        return Arguments(self.take(name, {}, dict), f"{self.owner}.{name}")

    def finish(self) -> None:
        """Checks that every argument was taken.

        Raises:
          PickleRefused: naming the first argument that was not.
        """
        if self._values:
            raise PickleRefused(f"{self.owner}.{str(next(iter(self._values)))[:60]}: an unknown constructor argument")


def require_class(record: ModuleRecord, class_name: str, owner: str) -> None:
    """Checks the class of a module.

    Raises:
      PickleRefused: if the module is of another class of the reference.
    """
    if record.class_name != class_name:
        raise PickleRefused(f"{owner}: found class {record.class_name}, allowed: {class_name}")
