"""Weight files of all kinds, told apart by their content."""

import io
import json
import zipfile

import numpy as np
import pytest
from torch_files import legacy_file, zip_file

from flaxgan.convert.weight_files import arrays_of_bytes

STATE = {"a.weight": np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32), "a.bias": np.arange(2.0)}


def npz(save=np.savez):
    stream = io.BytesIO()
    save(stream, **STATE)
    return stream.getvalue()


def safetensors(header=None, body=None, **entry):
    """A .safetensors file of STATE; `entry` replaces fields of its first tensor."""
    if header is None:
        header, begin = {"__metadata__": {"format": "pt"}}, 0
        for name, array in STATE.items():
            end = begin + array.nbytes
            kind = {"f4": "F32", "f8": "F64"}[array.dtype.str[1:]]
            header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, end]}
            begin = end
        header["a.weight"] |= entry
    body = b"".join(array.tobytes() for array in STATE.values()) if body is None else body
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    "data",
    [zip_file(STATE), legacy_file(STATE), npz(), npz(np.savez_compressed), safetensors()],
    ids=["zip", "legacy", "npz", "compressed_npz", "safetensors"],
)
def test_reads_every_kind(data):
    arrays = arrays_of_bytes(data)
    assert sorted(arrays) == sorted(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


@pytest.mark.parametrize("data", [b"", b"PNG and so on", b"\x80\x04N.", b"<html>not found</html>"])
def test_refuses_anything_else(data):
    with pytest.raises(ValueError, match="unknown file format, allowed"):
        arrays_of_bytes(data)


@pytest.mark.parametrize("data", [zip_file(STATE), legacy_file(STATE), npz(), npz(np.savez_compressed), safetensors()])
def test_refuses_truncated_files(data):
    for length in (20, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError):
            arrays_of_bytes(data[:length])


@pytest.mark.parametrize(("data", "behind_name"), [(npz(), 165), (npz(np.savez_compressed), 40)])
def test_refuses_damaged_archives(data, behind_name):
    place = data.index(b"a.weight.npy") + behind_name  # In the numbers.
    with pytest.raises(ValueError, match="damaged"):
        arrays_of_bytes(data[:place] + bytes(255 - byte for byte in data[place : place + 3]) + data[place + 3 :])


def test_refuses_objects_and_other_members_of_npz():
    stream = io.BytesIO()
    np.savez(stream, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        arrays_of_bytes(stream.getvalue())
    with pytest.raises(ValueError, match="is not an array"):
        arrays_of_bytes(zip_file({}, **{"data.pkl": None}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (safetensors(dtype="BF16"), "cannot read tensor 'a.weight'.*dtype: found 'BF16', allowed: "),
        (safetensors(shape=[3, 3]), "cannot read tensor 'a.weight'"),
        (safetensors(shape=[-1, 2]), "tensor 'a.weight'.*do not fit"),
        (safetensors(shape=6), "cannot read tensor 'a.weight'"),
        (safetensors(data_offsets=[0, 1000]), "tensor 'a.weight'.*do not fit its 40 bytes"),
        (safetensors(data_offsets=[0]), "cannot read tensor 'a.weight'"),
        (safetensors(header={"a": {}}), "cannot read tensor 'a'"),
        (safetensors(header={"a": []}), "cannot read tensor 'a'"),
        (b"\x09" + bytes(7) + b'{"a": 1]}', "^not a .safetensors file"),
        (b"\xff" * 8 + b"{}", "the file is truncated, or not a .safetensors file"),
    ],
)
def test_refuses_other_safetensors(data, message):
    with pytest.raises(ValueError, match=message):
        arrays_of_bytes(data)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': ((((",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 30 + b",)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}",
    ],
)
def test_header_of_an_array_that_is_damaged(header):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match="the ZIP archive is damaged: "):
        arrays_of_bytes(stream.getvalue())
