"""Tensors inside network pickles: storages in torch's legacy format, and strided views of them. Torch is not needed."""

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
    """The items of a storage, a read-only view of the file's bytes: nothing is allocated for them."""

    items: np.ndarray


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor as the pickle describes it; `view` checks the description."""

    storage: Storage
    offset: int
    size: tuple
    stride: tuple

    def view(self) -> np.ndarray:
        """The tensor as a read-only strided view of its storage.

        Raises:
          PickleRefused: if offset, size or stride is not a possible one, or leaves the storage.
        """
        numel = len(self.storage.items)
        if len(self.size) != len(self.stride) or len(self.size) > MAX_AXES:
            raise PickleRefused(f"{len(self.size)} sizes and {len(self.stride)} strides do not describe a tensor")
        for field, values in (("offset", (self.offset,)), ("size", self.size), ("stride", self.stride)):
            if not all(type(value) is int and value >= 0 for value in values):
                raise PickleRefused(f"its {field} is not made of integers of at least 0")
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
    """`torch._utils._rebuild_tensor_v2`: (storage, offset, size, stride, requires_grad, hooks[, metadata])."""
    if len(arguments) not in (6, 7) or type(arguments[0]) is not Storage:
        raise PickleRefused("a tensor is not described by its storage, offset, size and stride")
    storage, offset, size, stride = arguments[:4]
    if type(size) is not tuple or type(stride) is not tuple:
        raise PickleRefused("a tensor's size and stride are not tuples")
    return Tensor(storage, offset, size, stride)


def rebuild_parameter(arguments: tuple) -> Tensor:
    """`torch._utils._rebuild_parameter`: (tensor, requires_grad, hooks)."""
    if len(arguments) != 3 or type(arguments[0]) is not Tensor:
        raise PickleRefused("a parameter is not made of a tensor")
    return arguments[0]


def load_storage(arguments: tuple, budget: Budget) -> Storage:
    """`torch.storage._load_from_bytes`: what torch.save writes for one storage in its legacy, non-ZIP format.

    Five pickles (magic number, format version, machine, the storage's persistent id, list of its key), the int64 number
    of items, and the items.

    Args:
      arguments: (bytes,).
      budget: of the file that the bytes are part of.

    Raises:
      PickleRefused: if the bytes are of any other form or length.
    """
    if len(arguments) != 1 or type(arguments[0]) is not bytes:
        raise PickleRefused("a storage is not made of bytes")
    try:
        return _read_storage(arguments[0], budget)
    except PickleRefused as refusal:
        raise PickleRefused(f"in the bytes of a storage: {refusal}") from None


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the persistent id of a storage says."""

    item_type: str
    key: str
    numel: int


def _read_storage(data: bytes, budget: Budget) -> Storage:
    stream = io.BytesIO(data)

    def read(persistent: Callable[[Any], Any] | None = None) -> Any:
        return PickleMachine(_STORAGE_TYPES, budget, persistent=persistent).run(stream, len(data))

    if read() != MAGIC_NUMBER:
        raise PickleRefused("they do not start with the magic number of torch.save")
    if read() != FORMAT_VERSION:
        raise PickleRefused(f"their format version is not {FORMAT_VERSION}")
    machine = read()
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise PickleRefused("they were not written on a little-endian machine")
    header = read(_read_header)
    if type(header) is not _Header:
        raise PickleRefused("they hold no storage")
    if read() != [header.key]:
        raise PickleRefused("they do not hold exactly the storage that they announce")
    return Storage(_read_items(data, stream.tell(), header))


def _read_items(data: bytes, start: int, header: _Header) -> np.ndarray:
    numel = int.from_bytes(data[start : start + 8], "little")
    if numel != header.numel:
        raise PickleRefused(f"they announce {header.numel} items, then {numel}")
    dtype = np.dtype(header.item_type)
    length = len(data) - start - 8
    if numel * dtype.itemsize != length:
        raise PickleRefused(f"{numel} items of {dtype.itemsize} bytes are announced, but {length} bytes follow")
    return np.frombuffer(data, dtype, numel, start + 8)


def _read_header(persistent_id: Any) -> _Header:
    is_storage = type(persistent_id) is tuple and len(persistent_id) == 6 and persistent_id[0] == "storage"
    if not is_storage or type(persistent_id[1]) is not GlobalName or persistent_id[5] is not None:
        raise PickleRefused("a persistent id is not that of a storage")
    _, kind, key, location, numel, _ = persistent_id
    if type(key) is not str or type(location) is not str or type(numel) is not int or numel < 0:
        raise PickleRefused("the persistent id of a storage has fields of wrong types")
    return _Header(ITEM_TYPES[kind.name], key, numel)


def _refuse_call(_: tuple) -> Any:
    raise PickleRefused("a storage type is called, which is not allowed")


def _overlaps(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether some axis steps by less than the axes inside it span; whole tensors, transposed or sliced, never do."""
    span = 1
    for step, length in sorted((step, length) for step, length in zip(stride, size, strict=True) if length > 1):
        if step < span:
            return True
        span += (length - 1) * step
    return False


_STORAGE_TYPES = {("torch", name): _refuse_call for name in ITEM_TYPES}
