"""A pickle interpreter that can only build data: it never imports or calls anything that the file names.

Python's own Unpickler still runs code of the allowed objects, even with `find_class` restricted. BUILD sets attributes
of any object on the stack, dict keys are hashed (a nested tuple overflows the C stack), and a memo index can allocate
gigabytes. This interpreter knows the opcodes that network pickles use and refuses all others. It never resolves the
name of a global; only the caller's builder for that exact name receives its arguments.
"""

import dataclasses
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

MAX_OPERATIONS = 1_000_000


class PickleRefused(ValueError):
    """Raised for a file that does not have the documented format, or that contains something not allowed.

    The message may quote the file; non-printable characters are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


@dataclasses.dataclass(frozen=True)
class GlobalName:
    """A global that the pickle names; it is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclasses.dataclass
class Budget:
    """The number of operations that a file, including its storages, may still use."""

    operations: int = MAX_OPERATIONS

    def spend(self) -> None:
        """Counts an operation.

        Raises:
          PickleRefused: if none is left.
        """
        self.operations -= 1
        if self.operations < 0:
            raise PickleRefused(f"it needs more than {MAX_OPERATIONS} operations")


class PickleMachine:
    """Interprets one pickle stream; returns plain containers and the values of the builders.

    Attributes:
      builders: (module, name) -> function of the argument tuple, for each allowed global. It is called for both REDUCE
        and NEWOBJ and must only check and record.
      budget: budget that all pickles of a file share.
      persistent: function of the persistent id; None refuses persistent ids.
      build: function of (value, state) for BUILD; None refuses BUILD.
    """

    def __init__(
        self,
        builders: Mapping[tuple[str, str], Callable[[tuple], Any]],
        budget: Budget,
        *,
        persistent: Callable[[Any], Any] | None = None,
        build: Callable[[Any, Any], None] | None = None,
    ) -> None:
        self._builders = builders
        self._budget = budget
        self._persistent = persistent
        self._build = build
        self._stack: list = []
        self._below_marks: list[list] = []
        self._memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO, size: int) -> Any:
        """Returns the value of the pickle at the stream's position, and leaves the position after its STOP.

        Args:
          stream: binary stream of the pickle; a read past its end must return the remaining bytes.
          size: length of the whole stream in bytes; no length inside the pickle may exceed it.

        Raises:
          PickleRefused: if it is not a valid pickle, or uses an opcode or a global that is not allowed.
        """
        position: int | None = stream.tell()
        try:
            for opcode, argument, position in pickletools.genops(stream):
                self._budget.spend()
                if opcode.name == "STOP":
                    return self._result()
                if opcode.name == "FRAME" and (argument or 0) > size - (position or 0):
                    raise PickleRefused(f"a frame of {argument} bytes is longer than the file")
                self._step(opcode.name, argument)
        except PickleRefused as refusal:
            raise PickleRefused(f"{refusal} (at byte {position})") from None
        except (ValueError, OverflowError, MemoryError) as error:
            raise PickleRefused(
                f"it is truncated or not a pickle: {str(error)[:200]} (after byte {position})"
            ) from error
        raise PickleRefused("it is truncated: STOP is missing")

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        else:
            raise PickleRefused(f"pickle opcode {name} is not allowed")

    def _result(self) -> Any:
        value = self._pop()
        if self._stack or self._below_marks:
            raise PickleRefused("values are left on the pickle's stack at its end")
        return value

    def _pop(self) -> Any:
        if not self._stack:
            raise PickleRefused("the pickle takes a value from an empty stack")
        return self._stack.pop()

    def _pop_to_mark(self) -> list:
        if not self._below_marks:
            raise PickleRefused("the pickle refers to a mark that it did not set")
        items, self._stack = self._stack, self._below_marks.pop()
        return items

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            found = type(self._stack[-1]).__name__ if self._stack else "nothing"
            raise PickleRefused(f"the pickle fills a {kind.__name__}, but the stack holds {found}")
        return self._stack[-1]

    def _mark(self, _: Any) -> None:
        self._below_marks.append(self._stack)
        self._stack = []

    def _tuple(self, length: int | None) -> None:
        items = self._pop_to_mark() if length is None else [self._pop() for _ in range(length)][::-1]
        self._stack.append(tuple(items))

    def _append(self, items: list) -> None:
        self._top(list).extend(items)

    def _set_items(self, items: list) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise PickleRefused("a dict is given a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # These files have no other keys, and hashing a nested key can take forever or overflow the stack.
            if type(key) is not str and not (type(key) is int and key.bit_length() < 32):
                raise PickleRefused(
                    f"dict key: found {type(key).__name__}, allowed: a string or an integer below 2**32"
                )
            target[key] = value

    def _memoize(self, index: int | None) -> None:
        value = self._pop()
        self._stack.append(value)
        self._memo[len(self._memo) if index is None else index] = value

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise PickleRefused(f"the pickle recalls memo entry {index}, which it did not store")
        self._stack.append(self._memo[index])

    def _global(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise PickleRefused("a global must be named by two strings")
        if (module, name) not in self._builders:
            raise PickleRefused(f"global {module[:100]}.{name[:100]} is not allowed")
        self._stack.append(GlobalName(module, name))

    def _call(self, _: Any) -> None:
        arguments, target = self._pop(), self._pop()
        if type(target) is not GlobalName:
            raise PickleRefused(f"the pickle calls {type(target).__name__}, which is not allowed")
        if type(arguments) is not tuple:
            raise PickleRefused(f"{target} is called with {type(arguments).__name__}, allowed: a tuple of arguments")
        self._stack.append(self._builders[target.module, target.name](arguments))

    def _set_state(self, _: Any) -> None:
        state, target = self._pop(), self._pop()
        if self._build is None:
            raise PickleRefused("pickle opcode BUILD is not allowed here")
        self._build(target, state)
        self._stack.append(target)

    def _persistent_id(self, _: Any) -> None:
        if self._persistent is None:
            raise PickleRefused("pickle opcode BINPERSID is not allowed here")
        self._stack.append(self._persistent(self._pop()))

    def _proto(self, version: int) -> None:
        if version > 5:
            raise PickleRefused(f"pickle protocol: found {version}, allowed: 2 to 5")


# Opcodes that push their own argument; its length was checked against the rest of the file.
_LITERALS = frozenset(
    {
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINSTRING",  # strings of Python 2
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
    }
)

_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": frozenset,
}

_OPERATIONS: dict[str, Callable[[PickleMachine, Any], None]] = {
    "PROTO": PickleMachine._proto,
    "FRAME": lambda machine, _: None,
    "MARK": PickleMachine._mark,
    "MEMOIZE": PickleMachine._memoize,
    "BINPUT": PickleMachine._memoize,
    "LONG_BINPUT": PickleMachine._memoize,
    "BINGET": PickleMachine._recall,
    "LONG_BINGET": PickleMachine._recall,
    "TUPLE": PickleMachine._tuple,
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "APPEND": lambda machine, _: machine._append([machine._pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._pop_to_mark()),
    "SETITEM": lambda machine, _: machine._set_items([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_to_mark()),
    "GLOBAL": lambda machine, argument: machine._global(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine._global(*[machine._pop(), machine._pop()][::-1]),
    "REDUCE": PickleMachine._call,
    "NEWOBJ": PickleMachine._call,
    "BUILD": PickleMachine._set_state,
    "BINPERSID": PickleMachine._persistent_id,
}
