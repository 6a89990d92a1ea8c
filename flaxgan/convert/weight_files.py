"""Named arrays from weight files: .npz, .safetensors and torch.save's .pth, told apart by their content."""

import io
import json
import zipfile

import numpy as np

from flaxgan.convert import torch_file

_MAX_HEADER_BYTES = 100_000_000
_SAFETENSORS_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "<u1"}


def arrays_of_bytes(data: bytes) -> dict[str, np.ndarray]:
    """Reads the named arrays of a weight file without executing anything in it.

    Args:
      data: the content of an .npz file, a .safetensors file, or a state_dict that torch.save wrote, in its ZIP format
        or the older one.

    Raises:
      ValueError: if the file has another format, is damaged, or holds anything but arrays.
    """
    if data.startswith(b"PK\x03\x04"):
        return _of_zip(data)
    if torch_file.is_legacy(data):
        return torch_file.read_legacy(data)
    if data[8:9] == b"{":
        return _of_safetensors(data)
    raise ValueError("unknown file format, allowed: .npz, .safetensors, or a .pth file of torch.save")


def _of_zip(data: bytes) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if torch_file.is_zip(archive):
                return torch_file.read_zip(archive)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: _array(file, name) for name in file.files}
    except ValueError:
        raise
    except Exception as error:  # damaged archives and array headers raise anything, even MemoryError
        raise ValueError(f"the ZIP archive is damaged: {error}") from error


def _array(file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    array = file[name]
    if not isinstance(array, np.ndarray):  # np.load returns the bytes of members that are not .npy files.
        raise ValueError(f"{name!r} in the ZIP archive is not an array")
    return array


def _of_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Reads the header length (8 bytes), the header (JSON: name -> dtype, shape, data_offsets), and the arrays."""
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, _MAX_HEADER_BYTES):
        raise ValueError(f"header length is {length} bytes: the file is truncated, or not a .safetensors file")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a .safetensors file: {error}") from error
    if type(header) is not dict:
        raise ValueError("not a .safetensors file: its header is not a JSON object")
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + length :]
    return {name: _safetensor(name, entry, body) for name, entry in header.items()}


def _safetensor(name: str, entry: dict, body: memoryview) -> np.ndarray:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)) or end > len(body):
            raise ValueError(f"shape {shape} and data_offsets {begin, end} do not fit its {len(body)} bytes")
        if kind not in _SAFETENSORS_TYPES:
            raise ValueError(f"dtype: found {kind!r}, allowed: {', '.join(_SAFETENSORS_TYPES)}")
        return np.frombuffer(body[begin:end], _SAFETENSORS_TYPES[kind]).reshape(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"cannot read tensor {name!r} of the .safetensors file: {error}") from error
