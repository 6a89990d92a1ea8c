"""Tensors inside network pickles: storages in torch's legacy format and strided views of them, read without torch."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from flaxgan.convert.pickle_machine import Budget, GlobalName, PickleMachine, PickleRefused

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
FORMAT_VERSION = 1001
ITEM_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}
MAX_AXES = 8


@dataclasses.dataclass(frozen=True)
class Storage:
    """The items of a storage: a read-only view of the file's bytes, without a copy."""

    items: np.ndarray


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor as the pickle describes it; `view` checks the description."""

    storage: Storage
    offset: int
    size: tuple
    stride: tuple

    def view(self) -> np.ndarray:
        """Returns the tensor as a read-only strided view of its storage.

        Raises:
          PickleRefused: if offset, size or stride is invalid or reaches outside the storage.
        """
        numel = len(self.storage.items)
        if len(self.size) != len(self.stride) or len(self.size) > MAX_AXES:
            raise PickleRefused(f"{len(self.size)} sizes and {len(self.stride)} strides do not describe a tensor")
        for field, values in (("offset", (self.offset,)), ("size", self.size), ("stride", self.stride)):
            if not all(type(value) is int and value >= 0 for value in values):
                raise PickleRefused(f"{field} must consist of non-negative integers")
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.size, self.stride, strict=True))
        description = f"size {self.size} with stride {self.stride} at offset {self.offset}"
        if 0 in self.size or last >= numel:
            raise PickleRefused(f"{description} does not lie inside its storage of {numel} items")
        if _overlaps(self.size, self.stride):
            raise PickleRefused(f"{description} reads items of its storage more than once")
        items = self.storage.items[self.offset :]
        strides = tuple(stride * items.itemsize for stride in self.stride)
        return np.lib.stride_tricks.as_strided(items, self.size, strides, writeable=False)


def rebuild_tensor(arguments: tuple) -> Tensor:
    """Builds a tensor as `torch._utils._rebuild_tensor_v2` does.

    Args:
      arguments: (storage, offset, size, stride, requires_grad, hooks[, metadata]).

    Raises:
      PickleRefused: if the arguments have other types.
    """
    if len(arguments) not in (6, 7) or type(arguments[0]) is not Storage:
        raise PickleRefused("a tensor must be described by its storage, offset, size and stride")
    storage, offset, size, stride = arguments[:4]
    if type(size) is not tuple or type(stride) is not tuple:
        raise PickleRefused("a tensor's size and stride must be tuples")
    return Tensor(storage, offset, size, stride)


def rebuild_parameter(arguments: tuple) -> Tensor:
    """Builds a parameter as `torch._utils._rebuild_parameter` does.

    Args:
      arguments: (tensor, requires_grad, hooks).

    Raises:
      PickleRefused: if the arguments have other types.
    """
    if len(arguments) != 3 or type(arguments[0]) is not Tensor:
        raise PickleRefused("a parameter must wrap a tensor")
    return arguments[0]


def load_storage(arguments: tuple, budget: Budget) -> Storage:
    """Loads one storage from the legacy, non-ZIP format of torch.save, as `torch.storage._load_from_bytes` does.

    The bytes hold five pickles (magic number, format version, machine, the storage's persistent id, list of its key),
    the number of items as int64, and the items.

    Args:
      arguments: (bytes,).
      budget: budget of the file that contains the bytes.

    Raises:
      PickleRefused: if the bytes have another format or length.
    """
    if len(arguments) != 1 or type(arguments[0]) is not bytes:
        raise PickleRefused("a storage must be given as bytes")
    try:
        return _read_storage(arguments[0], budget)
    except PickleRefused as refusal:
        raise PickleRefused(f"in the bytes of a storage: {refusal}") from None


@dataclasses.dataclass(frozen=True)
class _Header:
    """The fields of a storage's persistent id."""

    item_type: str
    key: str
    numel: int


def _read_storage(data: bytes, budget: Budget) -> Storage:
    stream = io.BytesIO(data)

    def read(persistent: Callable[[Any], Any] | None = None) -> Any:
        return PickleMachine(_STORAGE_TYPES, budget, persistent=persistent).run(stream, len(data))

    if read() != MAGIC_NUMBER:
        raise PickleRefused("the magic number of torch.save is missing")
    if read() != FORMAT_VERSION:
        raise PickleRefused(f"the format version is not {FORMAT_VERSION}")
    machine = read()
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise PickleRefused("not written on a little-endian machine")
    header = read(_read_header)
    if type(header) is not _Header:
        raise PickleRefused("no storage found")
    if read() != [header.key]:
        raise PickleRefused("the list of storages does not consist of the announced storage")
    return Storage(_read_items(data, stream.tell(), header))


def _read_items(data: bytes, start: int, header: _Header) -> np.ndarray:
    numel = int.from_bytes(data[start : start + 8], "little")
    if numel != header.numel:
        raise PickleRefused(f"{header.numel} items are announced first, then {numel}")
    dtype = np.dtype(header.item_type)
    length = len(data) - start - 8
    if numel * dtype.itemsize != length:
        raise PickleRefused(f"{numel} items of {dtype.itemsize} bytes are announced, but {length} bytes follow")
    return np.frombuffer(data, dtype, numel, start + 8)


def _read_header(persistent_id: Any) -> _Header:
    is_storage = type(persistent_id) is tuple and len(persistent_id) == 6 and persistent_id[0] == "storage"
    if not is_storage or type(persistent_id[1]) is not GlobalName or persistent_id[5] is not None:
        raise PickleRefused("a persistent id does not describe a storage")
    _, kind, key, location, numel, _ = persistent_id
    if type(key) is not str or type(location) is not str or type(numel) is not int or numel < 0:
        raise PickleRefused("the persistent id of a storage has fields of wrong types")
    return _Header(ITEM_TYPES[kind.name], key, numel)


def _refuse_call(_: tuple) -> Any:
    raise PickleRefused("a storage type is called, which is not allowed")


def _overlaps(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Returns whether a stride is smaller than the span of the inner axes; transposes and slices never overlap."""
    span = 1
    for step, length in sorted((step, length) for step, length in zip(stride, size, strict=True) if length > 1):
        if step < span:
            return True
        span += (length - 1) * step
    return False


_STORAGE_TYPES = {("torch", name): _refuse_call for name in ITEM_TYPES}
