"""Storages in torch's legacy format and strided views of them."""

import numpy as np
import pickle_writer as writer
import pytest
from pickle_writer import Call, Global, PersistentId

from flaxgan.convert import torch_storage
from flaxgan.convert.pickle_machine import Budget, PickleRefused

ITEMS = np.arange(24, dtype=np.float32) - 7


def load(data):
    return torch_storage.load_storage((data,), Budget())


def view(size, stride, offset=0, items=ITEMS):
    return torch_storage.Tensor(torch_storage.Storage(items), offset, size, stride).view()


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8"])
def test_reads_storages(dtype):
    items = np.arange(5).astype(dtype)
    loaded = load(writer.storage_bytes(items)).items
    np.testing.assert_array_equal(loaded, items)
    assert loaded.dtype == items.dtype
    assert not loaded.flags.writeable


def test_keeps_every_bit():
    items = np.asarray([np.nan, -0.0, np.inf, 1e-45], np.float32)
    assert load(writer.storage_bytes(items)).items.tobytes() == items.tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magic": 5}, "magic number"),
        ({"magic": [[]]}, "magic number"),
        ({"version": 1002}, "version"),
        ({"little_endian": False}, "little-endian"),
        ({"keys": ["other"]}, "consist of the announced storage"),
        ({"keys": ["94", "95"]}, "consist of the announced storage"),
        ({"keys": []}, "consist of the announced storage"),
        ({"numel": 2**62}, "24 items are announced first, then"),
        ({"numel": -1}, "24 items are announced first, then"),
        ({"numel": 23}, "24 items are announced first, then"),
        ({"data": ITEMS.tobytes()[:-1]}, "95 bytes follow"),
        ({"data": ITEMS.tobytes() + b"x"}, "97 bytes follow"),
        ({"data": b""}, "0 bytes follow"),
        ({"handle": "no id"}, "no storage found"),
        ({"persistent_id": 5}, "does not describe a storage"),
        ({"persistent_id": ("module", 1, 2, 3, 4, 5)}, "does not describe a storage"),
        ({"persistent_id": ("storage", "FloatStorage", "94", "cpu", 24, None)}, "does not describe a storage"),
        (
            {"persistent_id": ("storage", Global("torch", "FloatStorage"), "94", "cpu", 24)},
            "does not describe a storage",
        ),
        (
            {"persistent_id": ("storage", Global("torch", "FloatStorage"), "94", "cpu", 24, ("94", 0, 3))},
            "does not describe a storage",
        ),
        ({"persistent_id": ("storage", Global("torch", "FloatStorage"), 94, "cpu", 24, None)}, "wrong types"),
        ({"persistent_id": ("storage", Global("torch", "FloatStorage"), "94", "cpu", -24, None)}, "wrong types"),
        ({"persistent_id": ("storage", Global("torch", "FloatStorage"), "94", "cpu", 24.0, None)}, "wrong types"),
        (
            {"persistent_id": ("storage", Global("torch", "QInt8Storage"), "94", "cpu", 24, None)},
            "global torch.QInt8Storage is not allowed",
        ),
        (
            {"persistent_id": ("storage", Global("torch", "BFloat16Storage"), "94", "cpu", 24, None)},
            "global torch.BFloat16Storage is not allowed",
        ),
        (
            {"persistent_id": ("storage", Global("builtins", "exec"), "94", "cpu", 24, None)},
            "builtins.exec is not allowed",
        ),
        ({"handle": Call(Global("torch", "FloatStorage"), (4,))}, "a storage type is called"),
        ({"keys": [Call(Global("posix", "system"), ("true",))]}, "global posix.system is not allowed"),
        ({"magic": Call(Global("builtins", "eval"), ("1",))}, "global builtins.eval is not allowed"),
        (
            {"magic": Call(Global("torch.storage", "_load_from_bytes"), (b"",))},
            "global torch.storage._load_from_bytes is not allowed",
        ),
        ({"version": PersistentId("storage")}, "BINPERSID is not allowed"),
    ],
)
def test_refuses_other_bytes(changes, message):
    with pytest.raises(PickleRefused, match=message) as refusal:
        load(writer.storage_bytes(ITEMS, **changes))
    assert "in the bytes of a storage" in str(refusal.value)


def test_refuses_truncated_bytes():
    data = writer.storage_bytes(ITEMS)
    for end in range(len(data)):
        with pytest.raises(PickleRefused):
            load(data[:end])


@pytest.mark.parametrize("arguments", [(), (b"", b""), ("text",), ([],)])
def test_refuses_other_arguments(arguments):
    with pytest.raises(PickleRefused, match="must be given as bytes"):
        torch_storage.load_storage(arguments, Budget())


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((2, 3, 4), (12, 4, 1), 0),
        ((4, 3, 2), (1, 4, 12), 0),
        ((2, 4, 3), (12, 1, 4), 0),
        ((3, 2), (8, 2), 1),
        ((1, 5), (999, 1), 19),
        ((24,), (1,), 0),
        ((), (), 23),
    ],
)
def test_views(size, stride, offset):
    found = view(size, stride, offset)
    assert found.shape == size
    for index in np.ndindex(size):
        assert found[index] == ITEMS[offset + sum(i * step for i, step in zip(index, stride, strict=True))]
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("size", "stride", "offset", "message"),
    [
        ((24,), (1,), 1, "offset 1 does not lie inside its storage of 24 items"),
        ((), (), 24, "offset 24 does not lie inside"),
        ((1,), (1,), 2**62, "does not lie inside"),
        ((25,), (1,), 0, "does not lie inside"),
        ((2, 3, 4), (16, 4, 1), 0, r"stride \(16, 4, 1\)"),
        ((2**40, 2**40), (1, 1), 0, "does not lie inside"),
        ((2, 3, 4), (12, 4, 0), 0, "more than once"),
        ((3, 3), (1, 1), 0, "more than once"),
        ((2**60,), (0,), 0, "more than once"),
        ((2, 3, 4), (12, 3, 1), 0, "more than once"),
        ((0,), (1,), 0, "does not lie inside"),
        ((3,), (1,), -1, "offset must consist of non-negative integers"),
        ((-3,), (1,), 0, "size must consist of non-negative integers"),
        ((3,), (-1,), 5, "stride must consist of non-negative integers"),
        ((3.0,), (1,), 0, "size must consist of non-negative integers"),
        ((True,), (1,), 0, "size must consist of non-negative integers"),
        ((3,), (None,), 0, "stride must consist of non-negative integers"),
        ((3,), (1,), "0", "offset must consist of non-negative integers"),
        ((3,), (1, 1), 0, "1 sizes and 2 strides"),
        ((1,) * 100, (1,) * 100, 0, "100 sizes"),
    ],
)
def test_views_never_leave_the_storage(size, stride, offset, message):
    with pytest.raises(PickleRefused, match=message):
        view(size, stride, offset)


def test_rebuilding_takes_checked_parts_only():
    storage = torch_storage.Storage(ITEMS)
    for arguments in ((), (storage, 0, (3,), (1,)), (b"", 0, (3,), (1,), False, {})):
        with pytest.raises(PickleRefused, match="must be described by"):
            torch_storage.rebuild_tensor(arguments)
    with pytest.raises(PickleRefused, match="must be tuples"):
        torch_storage.rebuild_tensor((storage, 0, [3], (1,), False, {}))
    tensor = torch_storage.rebuild_tensor((storage, 0, (3,), (1,), False, {}, {"metadata": 1}))
    assert torch_storage.rebuild_parameter((tensor, True, {})) is tensor
    with pytest.raises(PickleRefused, match="must wrap a tensor"):
        torch_storage.rebuild_parameter((storage, True, {}))
