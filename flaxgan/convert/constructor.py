"""Constructor arguments of the reference's classes, read so that none is overlooked: each is taken by name and type."""

from collections.abc import Iterable
from typing import Any

from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.pickle_machine import PickleRefused

LARGEST_INTEGER = 2**20


class Arguments:
    """The arguments of one constructor call. What is not taken when `finish` is called was not understood.

    Attributes:
      owner: what messages call the module.
    """

    def __init__(self, values: dict[str, Any], owner: str) -> None:
        self._values = dict(values)
        self.owner = owner

    @classmethod
    def of(cls, record: ModuleRecord, owner: str, positional: Iterable[str]) -> "Arguments":
        """The arguments of a module's constructor.

        Args:
          record: the module.
          owner: what messages call it.
          positional: the constructor's parameter names, in order.
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
        """Takes an argument that the constructor has no default for."""
        if name not in self._values:
            raise PickleRefused(f"{self.owner}.{name}: the constructor argument is missing")
        return self.take(name, ..., *kinds)

    def take(self, name: str, default: Any, *kinds: type) -> Any:
        """Takes an argument of one of the types, or None where that is the default."""
        value = self._values.pop(name, default)
        if value is default:
            return value
        if type(value) not in kinds or (type(value) is int and abs(value) > LARGEST_INTEGER):
            allowed = ", ".join(kind.__name__ for kind in kinds)
            raise PickleRefused(f"{self.owner}.{name}: found {str(value)[:60]!r}, allowed: {allowed} of a usual size")
        return value

    def take_filter(self, name: str) -> tuple[float, ...]:
        """Takes the taps of a FIR filter; the reference's default is [1, 3, 3, 1]."""
        taps = self.take(name, [1, 3, 3, 1], list, tuple)
        if not taps or not all(type(tap) in (int, float) for tap in taps):
            raise PickleRefused(f"{self.owner}.{name}: found {str(taps)[:60]!r}, allowed: a list of numbers")
        return tuple(taps)

    def nested(self, name: str) -> "Arguments":
        """Takes an argument that holds the arguments of a part."""
        return Arguments(self.take(name, {}, dict), f"{self.owner}.{name}")

    def finish(self) -> None:
        """Raises PickleRefused if there is an argument that was not taken."""
        if self._values:
            raise PickleRefused(f"{self.owner}.{str(next(iter(self._values)))[:60]}: an unknown constructor argument")


def require_class(record: ModuleRecord, class_name: str, owner: str) -> None:
    """Raises PickleRefused unless a module is of a class of the reference."""
    if record.class_name != class_name:
        raise PickleRefused(f"{owner}: found a {record.class_name}, allowed: a {class_name}")
