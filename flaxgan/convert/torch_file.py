"""Reading of state_dicts in files of torch.save, ZIP or legacy format, without torch and without executing anything."""

import dataclasses
import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from flaxgan.convert.pickle_machine import Budget, GlobalName, PickleMachine, PickleRefused
from flaxgan.convert.torch_storage import (
    FORMAT_VERSION,
    ITEM_TYPES,
    MAGIC_NUMBER,
    Storage,
    Tensor,
    rebuild_parameter,
    rebuild_tensor,
)

_PICKLE = "/data.pkl"
_COUNT_BYTES = 8  # before the items of a storage in the legacy format


def is_legacy(data: bytes) -> bool:
    """Returns whether a file has the legacy format, which starts with a pickle of the magic number."""
    return data[:1] == b"\x80" and MAGIC_NUMBER.to_bytes(10, "little") in data[:16]


def is_zip(archive: zipfile.ZipFile) -> bool:
    """Returns whether torch.save wrote an archive."""
    return any(name.endswith(_PICKLE) for name in archive.namelist())


def read_zip(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Reads the named tensors of a state_dict in the ZIP format.

    The archive has a member ROOT/data.pkl, and a member ROOT/data/KEY for each storage.

    Raises:
      PickleRefused: if the archive is inconsistent, or holds anything but a dict of tensors.
    """
    names = archive.namelist()
    roots = [name.removesuffix(_PICKLE) for name in names if name.endswith(_PICKLE)]
    if len(roots) != 1 or f"{roots[0]}/constants.pkl" in names:
        raise PickleRefused("found a TorchScript archive, which contains a program, allowed: a state_dict")
    if f"{roots[0]}/byteorder" in names and archive.read(f"{roots[0]}/byteorder") != b"little":
        raise PickleRefused("not written on a little-endian machine")
    storages: dict[_Header, Storage] = {}

    def storage(header: _Header) -> Storage:
        if header not in storages:
            storages[header] = Storage(_items(_member(archive, f"{roots[0]}/data/{header.key}"), header))
        return storages[header]

    data = _member(archive, f"{roots[0]}{_PICKLE}")
    return _read_tensors(io.BytesIO(data), len(data), Budget(), storage)


def read_legacy(data: bytes) -> dict[str, np.ndarray]:
    """Reads the named tensors of a state_dict in the legacy format.

    The file holds pickles of the magic number, the format version, the machine, the state_dict, and the list of the
    storages' keys. For each key, the number of items as int64 and the items follow.

    Raises:
      PickleRefused: if the file is truncated, or holds anything but a dict of tensors.
    """
    stream, budget = io.BytesIO(data), Budget()
    plain = lambda: PickleMachine({}, budget).run(stream, len(data))
    magic, version, machine = plain(), plain(), plain()
    if magic != MAGIC_NUMBER or version != FORMAT_VERSION:
        raise PickleRefused(f"the magic number or version {FORMAT_VERSION} of torch.save is missing")
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise PickleRefused("not written on a little-endian machine")
    # The storages follow the pickle that refers to them. So it is read twice, first for their types and sizes.
    begin, headers = stream.tell(), {}

    def noted(header: _Header) -> Storage:
        headers[header.key] = header
        return Storage(np.empty(0, header.item_type))

    _unpickle(stream, len(data), budget, noted)
    keys = plain()
    if type(keys) is not list or any(type(key) is not str for key in keys) or sorted(keys) != sorted(headers):
        raise PickleRefused("the list of storages does not match the storages of the tensors")
    storages, position = {}, stream.tell()
    for header in (headers[key] for key in keys):
        position, end = position + _COUNT_BYTES, position + _COUNT_BYTES + header.numel * header.item_bytes
        if data[position - _COUNT_BYTES : position] != header.numel.to_bytes(_COUNT_BYTES, "little"):
            raise PickleRefused(f"storage {header.key!r} is truncated, or differs from its announced length")
        storages[header] = Storage(_items(memoryview(data)[position:end], header))
        position = end
    if position != len(data):
        raise PickleRefused(f"{len(data) - position} bytes follow the last storage")
    stream.seek(begin)
    return _read_tensors(stream, len(data), budget, lambda header: _known(storages, header))


@dataclasses.dataclass(frozen=True)
class _Header:
    """The fields of a storage's persistent id."""

    item_type: str
    key: str
    numel: int

    @property
    def item_bytes(self) -> int:
        return np.dtype(self.item_type).itemsize


def _header(persistent_id: Any) -> _Header:
    """Parses ("storage", type, key, device, number of items[, view]); the legacy format has the view, None."""
    if type(persistent_id) is not tuple or len(persistent_id) not in (5, 6) or persistent_id[0] != "storage":
        raise PickleRefused("a persistent id does not describe a storage")
    kind, key, _, numel = persistent_id[1:5]
    if len(persistent_id) == 6 and persistent_id[5] is not None:
        raise PickleRefused("found a storage that is a view of another one, allowed: whole storages")
    if type(kind) is not GlobalName or (kind.module, kind.name) not in _STORAGE_TYPES:
        raise PickleRefused("the persistent id of a storage does not name its type")
    if type(key) is not str or type(numel) is not int or numel < 0:
        raise PickleRefused("the persistent id of a storage has fields of wrong types")
    return _Header(ITEM_TYPES[kind.name], key, numel)


def _known(storages: dict[_Header, Storage], header: _Header) -> Storage:
    if header not in storages:
        raise PickleRefused(f"storage {header.key!r} has two different descriptions")
    return storages[header]


def _items(data: bytes | memoryview, header: _Header) -> np.ndarray:
    if len(data) != header.numel * header.item_bytes:
        raise PickleRefused(f"storage {header.key!r} has {len(data)} bytes for {header.numel} items")
    return np.frombuffer(data, header.item_type)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads a member that is stored uncompressed; a compressed one could expand to any size."""
    if name not in archive.namelist():
        raise PickleRefused(f"the archive has no member {name!r}")
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise PickleRefused(f"the archive's member {name!r} is compressed, which torch.save never does")
    return archive.read(name)


def _read_tensors(
    stream: io.BytesIO, size: int, budget: Budget, storage: Callable[[_Header], Storage]
) -> dict[str, np.ndarray]:
    state = _unpickle(stream, size, budget, storage)
    if type(state) is not dict or not all(type(name) is str and type(state[name]) is Tensor for name in state):
        raise PickleRefused("not a state_dict: it contains something other than named tensors")
    return {name: tensor.view() for name, tensor in state.items()}


def _unpickle(stream: io.BytesIO, size: int, budget: Budget, storage: Callable[[_Header], Storage]) -> Any:
    persistent = lambda persistent_id: storage(_header(persistent_id))
    return PickleMachine(_BUILDERS, budget, persistent=persistent, build=_ignore_metadata).run(stream, size)


def _ignore_metadata(target: Any, state: Any) -> None:
    """Handles BUILD, which sets an attribute of a state_dict with the versions of its modules; it is not needed."""
    if type(target) is not dict or type(state) is not dict or set(state) != {"_metadata"}:
        raise PickleRefused("the pickle sets the state of something other than a state_dict")


def _ordered_dict(arguments: tuple) -> dict:
    """Builds OrderedDict() of Python 3, whose items follow, or OrderedDict([[key, value], ...]) of Python 2."""
    if arguments == ():
        return {}
    pairs = arguments[0] if len(arguments) == 1 else None
    is_pair = lambda pair: type(pair) is list and len(pair) == 2 and type(pair[0]) is str
    if type(pairs) is not list or not all(map(is_pair, pairs)):
        raise PickleRefused("an OrderedDict must be created from a list of names and values")
    return dict(pairs)


def _rebuild_first_version(arguments: tuple) -> Tensor:
    """Builds a tensor as `torch._utils._rebuild_tensor`, of the oldest files, does: (storage, offset, size, stride)."""
    if len(arguments) != 4:
        raise PickleRefused("a tensor must be described by its storage, offset, size and stride")
    return rebuild_tensor((*arguments, False, None))


def _refuse_call(_: tuple) -> Any:
    raise PickleRefused("a storage type is called, which is not allowed")


_STORAGE_TYPES = {("torch", name): _refuse_call for name in ITEM_TYPES}
_BUILDERS = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_first_version,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    **_STORAGE_TYPES,
}
