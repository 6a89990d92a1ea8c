"""Conversion of the modules in a network pickle to named arrays and plain constructor arguments."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from flaxgan.convert.pickle_machine import Budget, PickleRefused
from flaxgan.convert.torch_storage import Tensor

META_VERSION = 6
CLASSES = (
    "Generator",
    "SynthesisNetwork",
    "SynthesisBlock",
    "SynthesisLayer",
    "ToRGBLayer",
    "MappingNetwork",
    "FullyConnectedLayer",
    "Conv2dLayer",
    "Discriminator",
    "DiscriminatorBlock",
    "DiscriminatorEpilogue",
    "MinibatchStdLayer",
    "AugmentPipe",
)
MAX_DEPTH = 16


@dataclasses.dataclass(frozen=True)
class ModuleRecord:
    """A module of the reference.

    Attributes:
      class_name: name of the class.
      init_args: positional constructor arguments, plain data.
      init_kwargs: keyword constructor arguments, plain data.
      parameters: name -> array, read-only views of the file's content; disabled parameters are left out.
      buffers: name -> array, read-only views as well.
      children: name -> module.
      training: whether the module was in training mode.
    """

    class_name: str
    init_args: tuple
    init_kwargs: dict[str, Any]
    parameters: dict[str, np.ndarray]
    buffers: dict[str, np.ndarray]
    children: dict[str, "ModuleRecord"]
    training: bool

    def state_dict(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Returns the parameters and buffers of this module and its submodules, by dotted name."""
        state = {f"{prefix}{name}": array for name, array in (self.parameters | self.buffers).items()}
        for name, child in self.children.items():
            state |= child.state_dict(f"{prefix}{name}.")
        return state


@dataclasses.dataclass(frozen=True)
class StoredModule:
    """A module as the pickle holds it: the argument of the reference's `_reconstruct_persistent_obj`."""

    meta: dict

    @classmethod
    def from_arguments(cls, arguments: tuple) -> "StoredModule":
        """Records the argument of `_reconstruct_persistent_obj`, which runs the class's source in the reference."""
        if len(arguments) != 1 or type(arguments[0]) is not dict:
            raise PickleRefused("a module must be described by one dict")
        return cls(arguments[0])


class ModuleReader:
    """Converts stored modules to records, and their contents to arrays and plain data.

    Attributes:
      budget: number of entries that may be visited, so that a structure with many references to its own parts is
        refused early.
      max_bytes: largest total size of the arrays in all records.
    """

    def __init__(self, budget: Budget, max_bytes: int) -> None:
        self._budget = budget
        self._bytes_left = max_bytes

    def read(self, stored: Any, name: str) -> ModuleRecord:
        """Returns the record of a module.

        Args:
          stored: the `StoredModule`.
          name: name of the module in messages.

        Raises:
          PickleRefused: naming the first module, tensor or argument that the reference would not write.
        """
        return self._module(stored, name, visited=set())

    def plain(self, value: Any, name: str, depth: int = 0) -> Any:
        """Returns the value if it consists of None, bool, int, float, str, and lists, tuples and dicts of these.

        Raises:
          PickleRefused: naming the first part that is of another type or nested too deeply.
        """
        self._budget.spend()
        if depth > MAX_DEPTH:
            raise PickleRefused(f"{name}: nested more than {MAX_DEPTH} levels deep")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) in (list, tuple):
            return type(value)(self.plain(item, f"{name}[{index}]", depth + 1) for index, item in enumerate(value))
        if type(value) is dict:
            return {key: self.plain(item, f"{name}.{_word(key)}", depth + 1) for key, item in value.items()}
        raise PickleRefused(f"{name}: found {type(value).__name__}, allowed: numbers, strings, lists and dicts")

    def _module(self, stored: Any, name: str, visited: set[int]) -> ModuleRecord:
        if type(stored) is not StoredModule:
            raise PickleRefused(f"{name}: found {type(stored).__name__}, allowed: a module")
        # Containers are compared by identity and stay alive, so shared and recursive modules are found.
        if id(stored.meta) in visited or name.count(".") > MAX_DEPTH:
            raise PickleRefused(f"{name}: the module occurs twice in its network, or is nested too deeply")
        visited.add(id(stored.meta))
        state = _state(stored.meta, name)
        init_args = _field(state, "_init_args", tuple, name)
        init_kwargs = _field(state, "_init_kwargs", dict, name)
        parameters = self._arrays(state, "_parameters", name)
        buffers = self._arrays(state, "_buffers", name)
        modules = self._entries(state, "_modules", name)
        children = {key: self._module(child, path, visited) for key, path, child in modules}
        shared = sorted((set(parameters) & set(buffers)) | (set(children) & (set(parameters) | set(buffers))))
        if shared:
            raise PickleRefused(f"{name}.{_word(shared[0])}: the name is used twice")
        return ModuleRecord(
            class_name=stored.meta["class_name"],
            init_args=self.plain(init_args, f"{name}._init_args"),
            init_kwargs=self.plain(init_kwargs, f"{name}._init_kwargs"),
            parameters=parameters,
            buffers=buffers,
            children=children,
            training=_field(state, "training", bool, name),
        )

    def _arrays(self, state: dict, kind: str, name: str) -> dict[str, np.ndarray]:
        return {key: self._array(tensor, path) for key, path, tensor in self._entries(state, kind, name)}

    def _array(self, tensor: Any, path: str) -> np.ndarray:
        if type(tensor) is not Tensor:
            raise PickleRefused(f"{path}: found {type(tensor).__name__}, allowed: a tensor")
        try:
            array = tensor.view()
        except PickleRefused as refusal:
            raise PickleRefused(f"{path}: {refusal}") from None
        self._bytes_left -= array.nbytes
        if self._bytes_left < 0:
            raise PickleRefused(f"{path}: the tensors expand to many times the size of the file")
        return array

    def _entries(self, state: dict, kind: str, name: str) -> Iterator[tuple[str, str, Any]]:
        """Yields (key, dotted path, value) of a module's parameters, buffers or submodules that are not None."""
        for key, value in _field(state, kind, dict, name).items():
            self._budget.spend()
            if type(key) is not str or not key or "." in key:
                raise PickleRefused(f"{name}: {_word(key)!r} cannot be the name of a submodule or tensor")
            if value is not None:
                yield key, f"{name}.{_word(key)}", value


def _state(meta: dict, name: str) -> dict:
    """Returns the module's attributes after a check of its description."""
    if meta.get("type") != "class" or meta.get("version") != META_VERSION:
        raise PickleRefused(f"{name}: not stored as a class in version {META_VERSION} of the reference's format")
    class_name = meta.get("class_name")
    if type(class_name) is not str or class_name not in CLASSES:
        found = _word(class_name)
        raise PickleRefused(f"{name}: class: found {found!r}, allowed: {', '.join(CLASSES)}")
    return _field(meta, "state", dict, name)


def _field(owner: dict, field: str, kind: type, name: str) -> Any:
    value = owner.get(field)
    if type(value) is not kind:
        raise PickleRefused(f"{name}.{field}: found {type(value).__name__}, allowed: {kind.__name__}")
    return value


def _word(key: Any) -> str:
    """Returns a key in the form for messages."""
    return str(key)[:60] if type(key) in (str, int) else type(key).__name__
