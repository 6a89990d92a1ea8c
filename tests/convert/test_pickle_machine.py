"""What a pickle may do to the machine, and what it is refused."""

import io
import os
import pickle
import sys

import pickle_writer as writer
import pytest
from pickle_writer import Build, Call, Global, PersistentId, Raw

from flaxgan.convert.pickle_machine import MAX_OPERATIONS, Budget, GlobalName, PickleMachine, PickleRefused

ALLOWED = {("here", "allowed"): lambda arguments: ("made of", arguments)}


def run(data, **options):
    return PickleMachine(ALLOWED, Budget(), **options).run(io.BytesIO(data), len(data))


VALUE = {
    "a": [1, -2, 3.5, None, True, False],
    "b": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "c": {"d": "é"},
    3: b"x",
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_what_python_writes(protocol):
    value = VALUE | {"again": VALUE, "long": list(range(3000)), "big": 2**70, "text": "t" * 300, "bytes": b"b" * 70000}
    if protocol == 2:
        value = {key: item for key, item in value.items() if key not in (3, "bytes", "again")}
    assert run(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [3, 4])
def test_calls_only_what_is_allowed(protocol):
    assert run(writer.dumps(Call(Global("here", "allowed"), (1, 2)), protocol)) == ("made of", (1, 2))
    assert run(writer.dumps(Call(Global("here", "allowed"), (), pickle.NEWOBJ), protocol)) == ("made of", ())
    assert run(writer.dumps(Global("here", "allowed"), protocol)) == GlobalName("here", "allowed")


FORBIDDEN_GLOBALS = [
    ("posix", "system"),
    ("nt", "system"),
    ("os", "system"),
    ("subprocess", "Popen"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("__builtin__", "eval"),
    ("copyreg", "_reconstructor"),
    ("copyreg", "add_extension"),
    ("importlib", "import_module"),
    ("operator", "attrgetter"),
    ("pickle", "loads"),
    ("torch", "load"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("here", "allowed.__globals__"),
    ("here", "Allowed"),
    ("here.allowed", ""),
    ("", "here allowed"),
]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(("module", "name"), FORBIDDEN_GLOBALS)
def test_refuses_every_other_global_by_name(module, name, protocol, tmp_path):
    marker = tmp_path / "executed"
    with pytest.raises(PickleRefused) as refusal:
        run(writer.dumps(Call(Global(module, name), (f"touch {marker}",)), protocol))
    assert f"global {module}.{name} is not allowed" in str(refusal.value)
    assert not marker.exists()


def test_refuses_pickles_of_real_attacks(tmp_path):
    marker = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    for protocol in (2, 3, 4, 5):
        with pytest.raises(PickleRefused, match="system is not allowed"):
            run(pickle.dumps({"innocent": [1, {"deep": Attack()}]}, protocol))
    assert not marker.exists()


def test_imports_nothing():
    sys.modules.pop("this", None)
    with pytest.raises(PickleRefused, match="global this.s is not allowed"):
        run(writer.dumps(Global("this", "s")))
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("opcodes", "name"),
    [
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\x00", "EXT2"),
        (b"\x84\x01\x00\x00\x00", "EXT4"),
        (b"(S'true'\niposix\nsystem\n", "STRING"),
        (b"(iposix\nsystem\n", "INST"),
        (b"(cposix\nsystem\n", "posix.system"),
        (writer.opcodes(Global("here", "allowed"), 3) + b"(o", "OBJ"),
        (b"P1\n", "PERSID"),
        (b"K\x01Q", "BINPERSID"),
        (b"K\x01K\x020", "POP"),
        (b"K\x012", "DUP"),
        (b"I1\n", "INT"),
        (b"L1L\n", "LONG"),
        (b"F1\n", "FLOAT"),
        (b"K\x01p0\n", "PUT"),
        (b"g0\n", "GET"),
        (b"\x8b\x01\x00\x00\x00\x01", "LONG4"),
        (b"\x8f(K\x01\x90", "ADDITEMS"),
        (b"(K\x01\x91", "FROZENSET"),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a", "BYTEARRAY8"),
        (b"\x97", "NEXT_BUFFER"),
        (b"K\x01\x98", "READONLY_BUFFER"),
        (writer.opcodes(Global("here", "allowed")) + b")}\x92", "NEWOBJ_EX"),
        (b"\x80\x06K\x01", "protocol: found 6"),
    ],
)
def test_refuses_opcodes_that_network_pickles_do_not_have(opcodes, name):
    with pytest.raises(PickleRefused, match=name):
        run(b"\x80\x04" + opcodes + b".")


@pytest.mark.parametrize(
    "target", [Global("here", "allowed"), {}, [], (1,), "text", Call(Global("here", "allowed"), ()), b"bytes"]
)
def test_sets_no_attributes(target):
    state = (None, {"__setstate__": Global("here", "allowed"), "__reduce__": 1, "__class__": 2})
    with pytest.raises(PickleRefused, match="BUILD is not allowed"):
        run(writer.dumps(Build(target, state)))


@pytest.mark.parametrize("target", [5, "text", None, (), {}, Call(Global("here", "allowed"), ())])
def test_calls_no_values(target):
    with pytest.raises(PickleRefused, match="which is not allowed"):
        run(writer.dumps(Call(target, ())))
    with pytest.raises(PickleRefused, match="which is not allowed"):
        run(writer.dumps(Call(target, (), pickle.NEWOBJ)))


def test_persistent_ids_only_where_allowed():
    assert run(writer.dumps(PersistentId("id")), persistent=lambda found: [found]) == ["id"]
    with pytest.raises(PickleRefused, match="BINPERSID is not allowed"):
        run(writer.dumps(PersistentId("id")))


@pytest.mark.parametrize(
    ("opcodes", "message"),
    [
        (b"", "empty stack"),
        (b"R", "empty stack"),
        (b"K\x01K\x02", "left on the pickle's stack"),
        (b"(K\x01", "left on the pickle's stack"),
        (b"t", "mark that it did not set"),
        (b"K\x01\x86", "empty stack"),
        (b"(\x85", "empty stack"),
        (b"h\x05", "memo entry 5"),
        (b"j\xff\xff\xff\xff", "memo entry 4294967295"),
        (b"q\x00", "empty stack"),
        (b"K\x01(K\x02e", "fills a list, but the stack holds int"),
        (b"(K\x02e", "fills a list, but the stack holds nothing"),
        (b"K\x01K\x02K\x03s", "fills a dict, but the stack holds int"),
        (b"}(K\x02u", "key without a value"),
        (b"K\x01K\x02\x93", "must be named by two strings"),
        (writer.opcodes(Global("here", "allowed")) + b"]R", "allowed: a tuple of arguments"),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f", "longer than the file"),
        (b"B\xff\xff\xff\x7fabc", "truncated"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc", "truncated"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "truncated"),
        (b"X\x02\x00\x00\x00\xff\xfe", "not a pickle"),
        (b"\xff", "not a pickle"),
    ],
)
def test_refuses_broken_streams(opcodes, message):
    with pytest.raises(PickleRefused, match=message):
        run(b"\x80\x04" + opcodes + b".")


def test_refuses_the_empty_file_and_other_files():
    for data in (
        b"",
        b"\x80",
        b"\x80\x04",
        b"\x89PNG\r\n\x1a\n",
        b"hello, world\n",
        bytes(100),
        b"\x1f\x8b\x08" + bytes(9),
    ):
        with pytest.raises(PickleRefused):
            run(data)


def test_memo_indices_cost_nothing():
    last = 2**32 - 1
    opcodes = b"]r\xff\xff\xff\xff(j\xff\xff\xff\xffj\xff\xff\xff\xffe"
    value = run(b"\x80\x04" + opcodes + b".")
    assert value[0] is value and len(value) == 2
    with pytest.raises(PickleRefused, match=f"memo entry {last - 1}"):
        run(b"\x80\x04]r\xff\xff\xff\xffj\xfe\xff\xff\xff.")


def test_keys_are_words_because_others_are_dangerous_to_hash():
    nested_key = b"}" + b")" + b"\x85" * 100_000 + b"N" + b"s"
    with pytest.raises(PickleRefused, match="dict key: found tuple, allowed: a string"):
        run(b"\x80\x04" + nested_key + b".")
    for key in (2**40, 1.5, None, True, b"bytes"):
        with pytest.raises(PickleRefused, match="dict key: found "):
            run(writer.dumps({key: 1}))


def test_depth_costs_nothing():
    value = run(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")
    for _ in range(99_999):
        (value,) = value
    assert value == []


def test_number_of_operations_is_limited():
    data = b"\x80\x04" + b"]" * 20
    budget = Budget(30)
    with pytest.raises(PickleRefused, match="truncated"):
        PickleMachine(ALLOWED, budget).run(io.BytesIO(data), len(data))
    with pytest.raises(PickleRefused, match=f"more than {MAX_OPERATIONS} operations"):
        PickleMachine(ALLOWED, budget).run(io.BytesIO(data), len(data))
    assert Budget().operations == MAX_OPERATIONS


def test_position_after_the_pickle():
    stream = io.BytesIO(writer.dumps(1) + b"more")
    assert PickleMachine(ALLOWED, Budget()).run(stream, 100) == 1
    assert stream.read() == b"more"


def test_raw_opcodes_pass_through_the_writer():
    assert run(writer.dumps([Raw(b"K\x07"), 8])) == [7, 8]
