"""Writes the files of torch.save, byte by byte as torch does, and as it would not."""

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from pickle_writer import Build, Call, Filled, Global, PersistentId, dumps, tensor

KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def persistent_id(name: str, items: np.ndarray, *, legacy: bool, **changes: Any) -> PersistentId:
    """The id of the storage of that key; `changes` replace its parts: kind, key, numel, view."""
    kind = changes.get("kind", Global("torch", KINDS[items.dtype.str[1:]]))
    parts = ("storage", kind, changes.get("key", name), "cpu", changes.get("numel", items.size))
    return PersistentId((*parts, changes.get("view")) if legacy else parts)


def state_pickle(state: Mapping[str, np.ndarray], *, legacy: bool, **changes: Any) -> bytes:
    """The pickle of a state_dict whose tensors have one storage each, keyed "0", "1", ..."""
    ids = (persistent_id(str(index), array, legacy=legacy, **changes) for index, array in enumerate(state.values()))
    tensors = {name: tensor(array, storage=key) for (name, array), key in zip(state.items(), ids)}
    metadata = {"_metadata": Call(Global("collections", "OrderedDict"), ())}
    return dumps(Build(Filled(Call(Global("collections", "OrderedDict"), ()), tensors), metadata), protocol=2)


def zip_file(state: Mapping[str, np.ndarray], *, pickle: bytes | None = None, **members: bytes | None) -> bytes:
    """A file of the ZIP format.

    Args:
      state: name -> array.
      pickle: in place of the state's.
      members: content of members below "archive/", by name with "_" for "/"; None leaves one out.
    """
    parts: dict[str, bytes | None] = {"data.pkl": state_pickle(state, legacy=False) if pickle is None else pickle}
    parts |= {"byteorder": b"little", "version": b"3\n"}
    parts |= {f"data/{index}": array.tobytes() for index, array in enumerate(state.values())}
    parts |= {name.replace("_", "/"): content for name, content in members.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(f"archive/{name}", content)
    return stream.getvalue()


def legacy_file(state: Mapping[str, np.ndarray], **changes: Any) -> bytes:
    """A file of the older format; `changes` replace its parts: magic, version, machine, pickle, keys, storages."""
    header = [changes.get("magic", 0x1950A86A20F9469CFC6C), changes.get("version", 1001)]
    parts = [dumps(part, protocol=2) for part in (*header, changes.get("machine", MACHINE))]
    parts.append(changes.get("pickle", state_pickle(state, legacy=True)))
    order = sorted(range(len(state)), key=str)
    parts.append(dumps(changes.get("keys", [str(index) for index in order]), protocol=2))
    arrays = list(state.values())
    stored = [struct.pack("<q", arrays[index].size) + arrays[index].tobytes() for index in order]
    return b"".join([*parts, changes.get("storages", b"".join(stored))])
