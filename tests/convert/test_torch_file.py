"""Files of torch.save. The writer was compared with files of torch 2.13 in both formats."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from pickle_writer import Build, Call, Global, Raw, dumps, parameter, tensor
from torch_files import MACHINE, legacy_file, persistent_id, state_pickle, zip_file

from flaxgan.convert import torch_file
from flaxgan.convert.pickle_machine import PickleRefused

STATE = {
    "conv.weight": np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32),
    "bn.num_batches_tracked": np.asarray(7),
    "half": np.arange(3, dtype=np.float16),
    "double": np.arange(4.0),
}


def read_zip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert torch_file.is_zip(archive)
        return torch_file.read_zip(archive)


def read_legacy(data):
    assert torch_file.is_legacy(data)
    return torch_file.read_legacy(data)


@pytest.mark.parametrize(("read", "write"), [(read_zip, zip_file), (read_legacy, legacy_file)])
def test_reads_what_was_written(read, write):
    read_state = read(write(STATE))
    assert list(read_state) == list(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(read_state[name], array)
        assert read_state[name].dtype == array.dtype and not read_state[name].flags.writeable


def _one_storage(first, second, *, legacy):
    """Two tensors over storage "0" of 24 items."""
    storage = persistent_id("0", ITEMS, legacy=legacy)
    return dumps({"first": tensor(ITEMS, storage=storage, **first), "second": tensor(ITEMS, storage=storage, **second)})


ITEMS = np.arange(24, dtype=np.float32)


@pytest.mark.parametrize(("read", "write", "legacy"), [(read_zip, zip_file, False), (read_legacy, legacy_file, True)])
def test_tensors_may_share_a_storage_and_have_strides(read, write, legacy):
    transposed, part = {"size": (4, 6), "stride": (1, 4)}, {"size": (2, 3), "stride": (3, 1), "offset": 5}
    state = read(write({"x": ITEMS}, pickle=_one_storage(transposed, part, legacy=legacy)))
    np.testing.assert_array_equal(state["first"], ITEMS.reshape(6, 4).T)
    np.testing.assert_array_equal(state["second"], ITEMS[5:11].reshape(2, 3))
    outside = {"size": (25,), "stride": (1,)}
    with pytest.raises(PickleRefused, match="does not lie inside its storage"):
        read(write({"x": ITEMS}, pickle=_one_storage(outside, part, legacy=legacy)))


def test_reads_files_of_python_2():
    """Words are byte strings, the OrderedDict gets its items as a list, tensors are of the first version."""
    word = lambda text: Raw(pickle.SHORT_BINSTRING + bytes([len(text)]) + text.encode())
    storage = persistent_id("0", ITEMS, legacy=True, key=word("0"))
    storage = storage._replace(value=(word("storage"), *storage.value[1:]))
    first_version = Call(Global("torch._utils", "_rebuild_tensor"), (storage, 0, (6, 4), (4, 1)))
    ordered = Call(Global("collections", "OrderedDict"), ([[word("w"), first_version]],))
    data = legacy_file({"w": ITEMS}, pickle=dumps(ordered, protocol=2), keys=[word("0")])
    np.testing.assert_array_equal(read_legacy(data)["w"], ITEMS.reshape(6, 4))


def test_reads_parameters():
    storage = persistent_id("0", ITEMS, legacy=False)
    data = zip_file({"w": ITEMS}, pickle=dumps({"w": parameter(tensor(ITEMS, storage=storage))}))
    np.testing.assert_array_equal(read_zip(data)["w"], ITEMS)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"constants.pkl": b""}, "TorchScript"),
        ({"other_data.pkl": b""}, "TorchScript"),
        ({"byteorder": b"big"}, "little-endian"),
        ({"data_1": None}, "no member 'archive/data/1'"),
        ({"data_0": b"1234"}, "storage '0' has 4 bytes for 48 items"),
        ({"pickle": b"\x80\x02."}, "empty stack"),
        ({"pickle": dumps([1])}, "not a state_dict"),
        ({"pickle": dumps({"epoch": 3})}, "not a state_dict"),
        ({"pickle": dumps({3: {}})}, "not a state_dict"),
        ({"pickle": dumps(Call(Global("posix", "system"), ("true",)))}, "posix.system is not allowed"),
        ({"pickle": dumps(Call(Global("torch", "FloatStorage"), (4,)))}, "a storage type is called"),
        ({"pickle": dumps(Build({}, {"__class__": 1}))}, "something other than a state_dict"),
        ({"pickle": dumps(Build([], {"_metadata": 1}))}, "something other than a state_dict"),
        ({"pickle": dumps(Call(Global("collections", "OrderedDict"), ([["a"]],)))}, "names and values"),
        ({"pickle": dumps(Call(Global("collections", "OrderedDict"), ([[[], 1]],)))}, "names and values"),
        ({"pickle": dumps(Call(Global("torch._utils", "_rebuild_tensor"), (1, 2)))}, "must be described by"),
    ],
)
def test_refuses_other_archives(members, message):
    with pytest.raises(PickleRefused, match=message):
        read_zip(zip_file(STATE, **members))


def test_refuses_compressed_members():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", state_pickle({"x": ITEMS}, legacy=False))
        archive.writestr("archive/data/0", ITEMS.tobytes())
    with pytest.raises(PickleRefused, match="'archive/data.pkl' is compressed"):
        read_zip(stream.getvalue())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numel": -1}, "wrong types"),
        ({"numel": 2.0}, "wrong types"),
        ({"key": 5}, "wrong types"),
        ({"kind": "FloatStorage"}, "does not name its type"),
        ({"kind": Global("collections", "OrderedDict")}, "does not name its type"),
        ({"kind": Global("torch", "BFloat16Storage")}, "torch.BFloat16Storage is not allowed"),
    ],
)
def test_refuses_other_storages(changes, message):
    with pytest.raises(PickleRefused, match=message):
        read_zip(zip_file({"x": ITEMS}, pickle=state_pickle({"x": ITEMS}, legacy=False, **changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1002}, "version 1001"),
        ({"machine": {**MACHINE, "little_endian": False}}, "little-endian"),
        ({"machine": []}, "little-endian"),
        ({"keys": ["1"]}, "list of storages"),
        ({"keys": ["0", "0"]}, "list of storages"),
        ({"keys": [0]}, "list of storages"),
        ({"keys": "0"}, "list of storages"),
        ({"storages": struct.pack("<q", 23) + ITEMS.tobytes()}, "storage '0' is truncated"),
        ({"storages": b"1234"}, "storage '0' is truncated"),
        ({"storages": struct.pack("<q", 24) + ITEMS.tobytes()[:-1]}, "95 bytes for 24 items"),
        ({"storages": struct.pack("<q", 24) + ITEMS.tobytes() + b"x"}, "1 bytes follow"),
        ({"pickle": state_pickle({"x": ITEMS}, legacy=True, view=("1", 0, 3))}, "a view of another one"),
        ({"pickle": state_pickle({"x": ITEMS}, legacy=True, numel=2**40)}, "storage '0' is truncated"),
        ({"pickle": dumps({"x": Call(Global("builtins", "eval"), ("1",))})}, "builtins.eval is not allowed"),
    ],
)
def test_refuses_other_legacy_files(changes, message):
    with pytest.raises(PickleRefused, match=message):
        read_legacy(legacy_file({"x": ITEMS}, **changes))


def test_refuses_a_storage_of_two_descriptions():
    halves = persistent_id("0", ITEMS.astype(np.float16), legacy=True)
    tensors = {"x": tensor(ITEMS, storage=persistent_id("0", ITEMS, legacy=True)), "y": tensor(ITEMS, storage=halves)}
    with pytest.raises(PickleRefused):
        read_legacy(legacy_file({"x": ITEMS}, pickle=dumps(tensors)))
