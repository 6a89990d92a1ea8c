"""Modules of a network pickle as data: from the attributes that the file stores to named arrays and plain arguments."""

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
      class_name: name of its class.
      init_args: positional constructor arguments, plain data.
      init_kwargs: keyword constructor arguments, plain data.
      parameters: name -> array, read-only views of the file's content; disabled parameters are left out.
      buffers: name -> array, likewise.
      children: name -> module.
      training: whether it was in training mode.
    """

    class_name: str
    init_args: tuple
    init_kwargs: dict[str, Any]
    parameters: dict[str, np.ndarray]
    buffers: dict[str, np.ndarray]
    children: dict[str, "ModuleRecord"]
    training: bool

    def state_dict(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Dotted name -> array: parameters and buffers of this module and of those inside it."""
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
        """The builder of `_reconstruct_persistent_obj`, which in the reference would run the class's source text."""
        if len(arguments) != 1 or type(arguments[0]) is not dict:
            raise PickleRefused("a module is not described by one dict")
        return cls(arguments[0])


class ModuleReader:
    """Turns stored modules into records, and whatever they contain into arrays and plain data.

    Attributes:
      budget: entries that may be visited: structures that refer to their parts many times stay cheap to refuse.
      max_bytes: size of all arrays of all records together.
    """

    def __init__(self, budget: Budget, max_bytes: int) -> None:
        self._budget = budget
        self._bytes_left = max_bytes

    def read(self, stored: Any, name: str) -> ModuleRecord:
        """The record of a module.

        Args:
          stored: the `StoredModule`.
          name: what messages call it.

        Raises:
          PickleRefused: naming the module, tensor or argument that is not as the reference writes it.
        """
        return self._module(stored, name, visited=set())

    def plain(self, value: Any, name: str, depth: int = 0) -> Any:
        """The value, if it consists of None, bool, int, float, str, lists, tuples and dicts of such."""
        self._budget.spend()
        if depth > MAX_DEPTH:
            raise PickleRefused(f"{name}: nested more than {MAX_DEPTH} deep")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) in (list, tuple):
            return type(value)(self.plain(item, f"{name}[{index}]", depth + 1) for index, item in enumerate(value))
        if type(value) is dict:
            return {key: self.plain(item, f"{name}.{_word(key)}", depth + 1) for key, item in value.items()}
        raise PickleRefused(f"{name}: found a {type(value).__name__}; allowed: numbers, strings, lists and dicts")

    def _module(self, stored: Any, name: str, visited: set[int]) -> ModuleRecord:
        if type(stored) is not StoredModule:
            raise PickleRefused(f"{name}: found a {type(stored).__name__}; allowed: a module")
        # The containers are compared by identity and stay alive, so a module inside itself or shared is seen again.
        if id(stored.meta) in visited or name.count(".") > MAX_DEPTH:
            raise PickleRefused(f"{name}: the module occurs twice in its network, or too deep")
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
            raise PickleRefused(f"{name}.{_word(shared[0])}: the name is taken twice")
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
            raise PickleRefused(f"{path}: found a {type(tensor).__name__}; allowed: a tensor")
        try:
            array = tensor.view()
        except PickleRefused as refusal:
            raise PickleRefused(f"{path}: {refusal}") from None
        self._bytes_left -= array.nbytes
        if self._bytes_left < 0:
            raise PickleRefused(f"{path}: the tensors unfold into many times the size of the file")
        return array

    def _entries(self, state: dict, kind: str, name: str) -> Iterator[tuple[str, str, Any]]:
        """(key, dotted path, value) of a module's parameters, buffers or modules, without those that are None."""
        for key, value in _field(state, kind, dict, name).items():
            self._budget.spend()
            if type(key) is not str or not key or "." in key:
                raise PickleRefused(f"{name}: {_word(key)!r} cannot be the name of a part of a module")
            if value is not None:
                yield key, f"{name}.{_word(key)}", value


def _state(meta: dict, name: str) -> dict:
    """The module's attributes, if its description is of the known kind."""
    if meta.get("type") != "class" or meta.get("version") != META_VERSION:
        raise PickleRefused(f"{name}: not stored as a class in version {META_VERSION} of the reference's format")
    class_name = meta.get("class_name")
    if type(class_name) is not str or class_name not in CLASSES:
        found = _word(class_name)
        raise PickleRefused(f"{name}: class {found!r} is not one of StyleGAN2-ADA; allowed: {', '.join(CLASSES)}")
    return _field(meta, "state", dict, name)


def _field(owner: dict, field: str, kind: type, name: str) -> Any:
    value = owner.get(field)
    if type(value) is not kind:
        raise PickleRefused(f"{name}: {field} is a {type(value).__name__}; allowed: a {kind.__name__}")
    return value


def _word(key: Any) -> str:
    """A key as messages show it."""
    return str(key)[:60] if type(key) in (str, int) else type(key).__name__
