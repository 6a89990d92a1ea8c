"""Whole network pickles: what they hold is read, anything else is refused by the file's name and the reason."""

import hashlib
import os
import pathlib
import pickle
import random

import numpy as np
import pickle_writer as writer
import pytest
from pickle_writer import Build, Call, Filled, Global, Raw

from flaxgan.convert import unpickle
from flaxgan.convert.pickle_machine import Budget, PickleRefused
from flaxgan.convert.unpickle import read_records

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
TENSORFLOW_PICKLE = writer.dumps(
    tuple(Call(Global("dnnlib.tflib.network", "Network"), (), pickle.NEWOBJ) for _ in "GDE")
)


def layer(**attributes):
    parts = {"_parameters": {"weight": writer.parameter(WEIGHT), "bias": None}}
    return writer.module("FullyConnectedLayer", {"in_features": 3}, **(parts | attributes))


def networks(**changes):
    """A pickle's content with networks of one layer; `changes` replace its entries, `...` takes one away."""
    content = {name: writer.module("Generator", {}, _modules={"fc": layer()}) for name in ("G", "D", "G_ema")}
    content = {"training_set_kwargs": {"path": "/data"}, **content, "augment_pipe": None} | changes
    return {key: value for key, value in content.items() if value is not ...}


def with_layer(**attributes):
    return networks(G_ema=writer.module("Generator", {}, _modules={"fc": layer(**attributes)}))


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "network.pkl"
        path.write_bytes(data)
        return read_records(path)

    return read_bytes


@pytest.fixture
def refused(read):
    """Reads a pickle that must be refused; returns the message, which always names the file."""

    def message_of(data):
        with pytest.raises(PickleRefused, match=r"network\.pkl: ") as refusal:
            read(data)
        return str(refusal.value)

    return message_of


@pytest.mark.parametrize("protocol", [3, 4])
def test_reads_modules(read, protocol):
    strided = writer.parameter(writer.tensor(WEIGHT, size=(3, 2), stride=(1, 3)))
    kwargs = {"z_dim": 4, "mapping_kwargs": writer.attribute_dict({"num_layers": 2, "filter": [1, (2.5, None)]})}
    inner = layer(_buffers={"p": writer.tensor(np.float32(3)), "none": None}, training=True)
    parts = {"_parameters": {"strided": strided}, "_modules": {"fc": inner, "absent": None}, "_init_args": (1, "two")}
    records = read(writer.dumps(networks(G_ema=writer.module("Generator", kwargs, **parts)), protocol))
    record = records.networks["G_ema"]
    assert record.class_name == "Generator"
    assert record.init_args == (1, "two")
    assert record.init_kwargs == {"z_dim": 4, "mapping_kwargs": {"num_layers": 2, "filter": [1, (2.5, None)]}}
    assert list(record.state_dict()) == ["strided", "fc.weight", "fc.p"]
    np.testing.assert_array_equal(record.state_dict()["strided"], WEIGHT.T)
    np.testing.assert_array_equal(record.state_dict()["fc.weight"], WEIGHT)
    assert record.state_dict()["fc.p"] == 3 and record.state_dict()["fc.p"].shape == ()
    assert list(record.children) == ["fc"]
    assert record.children["fc"].training and not record.training
    assert records.augment_pipe is None
    assert records.training_set_kwargs == {"path": "/data"}


def test_reads_what_torch_1_7_writes():
    """data/torch_1_7_1.pkl was written by torch 1.7.1 in protocol 3, as the published networks were.

    It holds made-up modules with strided, transposed, channels-last and scalar tensors, pickled with a __reduce__
    like that of the reference; the digest is that of their state_dicts, as torch itself gave them.
    """
    records = read_records(pathlib.Path(__file__).parent / "data" / "torch_1_7_1.pkl")
    digest = hashlib.sha256()
    for network, record in [*records.networks.items(), ("augment_pipe", records.augment_pipe)]:
        for name, array in record.state_dict().items():
            digest.update(f"{network}/{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    assert digest.hexdigest() == "3106c35bfd845206d4a6b3a3c7d4c42b4d827287bde2e27a3db47fcb95b238cb"
    assert records.networks["G"].init_args == (16,)
    assert records.networks["G"].init_kwargs["synthesis_kwargs"] == {"channel_base": 3, "conv_clamp": None}
    assert "weight" in records.networks["D"].children["b"].buffers


def test_order_of_keys_and_the_optional_ones_do_not_matter(read):
    content = networks(training_set_kwargs=..., augment_pipe=...)
    records = read(writer.dumps(dict(reversed(content.items()))))
    assert records.training_set_kwargs is None and records.augment_pipe is None
    assert read(writer.dumps(networks(training_set_kwargs=None))).training_set_kwargs is None


def test_a_storage_may_be_shared(read):
    opcodes = writer.opcodes(writer.tensor(WEIGHT).arguments[0]) + b"r\x10\x00\x00\x00"
    first = writer.parameter(writer.tensor(WEIGHT, storage=Raw(opcodes)))
    second = writer.parameter(
        writer.tensor(WEIGHT, size=(2,), stride=(3,), offset=1, storage=Raw(b"j\x10\x00\x00\x00"))
    )
    state = read(writer.dumps(with_layer(_parameters={"weight": first, "bias": second}))).networks["G_ema"].state_dict()
    np.testing.assert_array_equal(state["fc.weight"], WEIGHT)
    np.testing.assert_array_equal(state["fc.bias"], WEIGHT[:, 1])


def test_a_network_may_be_stored_once_under_two_keys(read):
    network = writer.opcodes(networks()["G"])
    content = networks(G=Raw(network + b"r\x10\x00\x00\x00"), G_ema=Raw(b"j\x10\x00\x00\x00"))
    assert list(read(writer.dumps(content)).networks["G_ema"].state_dict()) == ["fc.weight"]


def attack(marker):
    return Call(Global("posix", "system"), (f"touch {marker}",))


@pytest.mark.parametrize("protocol", [3, 4])
def test_attacks_are_named_and_not_executed_wherever_they_are(refused, tmp_path, protocol):
    marker = tmp_path / "executed"
    call = attack(marker)
    items = writer.storage_bytes(WEIGHT, keys=["94", call])
    storage = Call(Global("torch.storage", "_load_from_bytes"), (items,))
    hidden_in = [
        call,
        (call, call, call),
        {"G": call},
        networks(training_set_kwargs={"path": [call]}),
        networks(augment_pipe=call),
        networks(unknown=call),
        with_layer(_forward_hooks={"1": call}),
        with_layer(_parameters={"weight": call}),
        with_layer(_init_kwargs={"activation": call}),
        with_layer(meta={"module_src": call}),
        with_layer(_parameters={"weight": writer.parameter(writer.tensor(WEIGHT, storage=storage))}),
        with_layer(_parameters={"weight": writer.parameter(writer.tensor(WEIGHT, size=call))}),
        with_layer(weight_gain=Call(Global("numpy.core.multiarray", "scalar"), (call, b""))),
        Filled(Call(Global("dnnlib.util", "EasyDict"), ()), {"__setattr__": call}),
    ]
    for content in hidden_in:
        assert "global posix.system is not allowed" in refused(writer.dumps(content, protocol))
    assert not marker.exists()


def test_source_text_is_never_looked_at(read, tmp_path):
    marker = tmp_path / "executed"
    source = f"import os\nos.system('touch {marker}')\n"
    read(writer.dumps(with_layer(meta={"module_src": source})))
    assert not marker.exists()


def test_real_pickler_attacks_are_refused(refused, tmp_path):
    marker = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    for protocol in (2, 3, 4, 5):
        assert "system is not allowed" in refused(pickle.dumps({"G": Attack()}, protocol))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Build(networks()["G"], {"__setstate__": 1}), "sets the state of a StoredModule"),
        (Build(Global("collections", "OrderedDict"), (None, {"__new__": 1})), "sets the state of a GlobalName"),
        (Build({}, {"x": 1}), "sets the state of a dict"),
        (Build(writer.tensor(WEIGHT), {"x": 1}), "sets the state of a Tensor"),
        (Call(Global("collections", "OrderedDict"), ([["a", 1]],)), "created with arguments"),
        (Call(Global("dnnlib.util", "EasyDict"), (1,), pickle.NEWOBJ), "created with arguments"),
        (Call(Global("builtins", "set"), ([1],)), "set with members"),
        (Call(Global("builtins", "set"), ((),)), "set with members"),
        (Call(Global("builtins", "set"), ()), "set with members"),
        (Call(Global("numpy", "dtype"), ("O", False, True)), "numpy.dtype: found 'O', allowed: f8"),
        (Call(Global("numpy", "dtype"), ("O8", False, True)), "numpy.dtype: found 'O8', allowed: f8"),
        (Call(Global("numpy", "dtype"), ("V1000000000", False, True)), "numpy.dtype: found 'V1000000000', allowed"),
        (Call(Global("numpy", "dtype"), ([("a", "f8")], False, True)), "numpy.dtype: found 'list', allowed: f8"),
        (Call(Global("numpy", "dtype"), ("f8",)), "numpy.dtype: found 'f8', allowed: f8"),
        (Call(Global("numpy", "dtype"), ()), "numpy.dtype: found 'NoneType', allowed: f8"),
        (
            Build(Call(Global("numpy", "dtype"), ("f8", False, True)), (3, ">", None, None, None, -1, -1, 0)),
            "unknown state",
        ),
        (Build(Call(Global("numpy", "dtype"), ("f8", False, True)), {"x": 1}), "unknown state"),
        (
            Build(Call(Global("numpy", "dtype"), ("f8", False, True)), (3, "<", None, ("a",), {}, -1, -1, 0)),
            "unknown state",
        ),
        (Call(Global("numpy.core.multiarray", "scalar"), ("f8", bytes(8))), "dtype and bytes"),
        (
            Call(
                Global("numpy._core.multiarray", "scalar"),
                (Call(Global("numpy", "dtype"), ("f8", False, True)), bytes(9)),
            ),
            "has 9 bytes",
        ),
        (Call(Global("numpy.core.multiarray", "_reconstruct"), ()), "_reconstruct is not allowed"),
        (Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), ()), "described by one dict"),
        (Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), ({}, {})), "described by one dict"),
        (Call(Global("torch_utils.persistence", "_src_to_module"), ("import os",)), "_src_to_module is not allowed"),
        (Call(Global("torch._utils", "_rebuild_tensor_v2"), (b"", 0, (), ())), "must be described by its storage"),
    ],
)
def test_allowed_globals_take_only_what_they_must(refused, content, message):
    assert message in refused(writer.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": 1}, "does not lie inside its storage of 6 items"),
        ({"offset": -1}, "offset must consist of non-negative integers"),
        ({"stride": (4, 1)}, "does not lie inside its storage"),
        ({"stride": (0, 1)}, "more than once"),
        ({"stride": (-3, 1), "offset": 3}, "stride must consist of non-negative integers"),
        ({"size": (2, 4)}, "does not lie inside its storage"),
        ({"size": (2**50, 3)}, "does not lie inside its storage"),
        ({"size": (6,)}, "1 sizes and 2 strides"),
    ],
)
def test_wrong_tensors_are_named(refused, changes, message):
    tensor = writer.tensor(WEIGHT, **changes)
    found = refused(writer.dumps(with_layer(_parameters={"weight": writer.parameter(tensor)})))
    assert "G_ema.fc.weight: " in found and message in found
    found = refused(writer.dumps(with_layer(_buffers={"p": tensor})))
    assert "G_ema.fc.p: " in found and message in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (5, "found int, allowed: a dict of networks"),
        (networks()["G"], "found StoredModule, allowed: a dict of networks"),
        ([networks()], "found list, allowed: a dict of networks"),
        (networks(G_ema=...), "missing key 'G_ema'"),
        (networks(D=None), "missing key 'D'"),
        (networks(Gs=None), "unknown key 'Gs'"),
        (networks(G={}), "G: found dict, allowed: a module"),
        (networks(augment_pipe=writer.tensor(WEIGHT)), "augment_pipe: found Tensor"),
        (networks(training_set_kwargs=[]), "training_set_kwargs: found list"),
        (networks(training_set_kwargs={"a": b"x"}), "training_set_kwargs.a: found bytes"),
        (networks(training_set_kwargs={"a": Global("collections", "OrderedDict")}), "found GlobalName"),
        (with_layer(_init_kwargs={"a": [writer.tensor(WEIGHT)]}), "G_ema.fc._init_kwargs.a[0]: found Tensor"),
        (
            with_layer(meta={"class_name": "SynthesisInput"}),
            "G_ema.fc: class: found 'SynthesisInput', allowed: Generator",
        ),
        (with_layer(meta={"class_name": []}), "class: found 'list', allowed: Generator"),
        (with_layer(meta={"type": "function"}), "G_ema.fc: not stored as a class"),
        (with_layer(meta={"version": 5}), "G_ema.fc: not stored as a class in version 6"),
        (with_layer(meta={"state": None}), "G_ema.fc.state: found NoneType, allowed: dict"),
        (with_layer(meta={"state": {}}), "_init_args: found NoneType"),
        (with_layer(_parameters=None), "_parameters: found NoneType"),
        (with_layer(_buffers=[]), "_buffers: found list"),
        (with_layer(training=0), "training: found int"),
        (with_layer(_init_args=[]), "_init_args: found list"),
        (with_layer(_parameters={"weight": 5}), "G_ema.fc.weight: found int, allowed: a tensor"),
        (with_layer(_parameters={"a.b": writer.parameter(WEIGHT)}), "'a.b' cannot be the name"),
        (with_layer(_parameters={"": writer.parameter(WEIGHT)}), "'' cannot be the name"),
        (with_layer(_parameters={7: writer.parameter(WEIGHT)}), "'7' cannot be the name"),
        (with_layer(_buffers={"weight": writer.tensor(WEIGHT)}), "G_ema.fc.weight: the name is used twice"),
        (with_layer(_modules={"weight": layer()}), "G_ema.fc.weight: the name is used twice"),
    ],
)
def test_other_contents_are_refused(refused, content, message):
    assert message in refused(writer.dumps(content))


def test_other_formats_are_refused(refused):
    assert "TensorFlow" in refused(TENSORFLOW_PICKLE)
    assert "dnnlib.tflib.network.Network" in refused(
        writer.dumps([1] * 300 + [Global("dnnlib.tflib.network", "Network")])
    )
    assert "ZIP" in refused(b"PK\x03\x04" + bytes(100))
    assert "bytes follow the end" in refused(writer.storage_bytes(WEIGHT))
    assert "follow the end" in refused(writer.dumps(networks()) + b"garbage")
    for data in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(50), b"\x1f\x8b\x08\x00", b"(lp0\nI1\na."):
        refused(data)


def test_a_missing_file_is_no_refusal(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.pkl"):
        read_records(tmp_path / "absent.pkl")


def test_truncated_files_are_refused(refused):
    data = writer.dumps(networks(), 3)
    generator = random.Random(0)
    for end in [*(generator.randrange(len(data)) for _ in range(60)), len(data) - 1]:
        refused(data[:end])


def test_damaged_files_are_read_or_refused_but_never_crash(read):
    data = bytearray(writer.dumps(networks(), 4))
    generator = random.Random(1)
    outcomes = set()
    for _ in range(250):
        damaged = bytearray(data)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(len(data))] = generator.randrange(256)
        try:
            read(bytes(damaged))
            outcomes.add("read")
        except PickleRefused:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def nested(depth, value, wrap):
    for _ in range(depth):
        value = wrap(value)
    return value


def test_deep_structures_are_refused(refused):
    deep_list = Raw(b"]" * 50_000 + b"a" * 49_999)
    assert "nested more than" in refused(writer.dumps(networks(training_set_kwargs={"a": deep_list})))
    deep_module = nested(40, layer(), lambda inner: writer.module("SynthesisBlock", {}, _modules={"a": inner}))
    assert "too deep" in refused(writer.dumps(networks(G=deep_module)))
    assert "nested more than" in refused(writer.dumps(with_layer(_init_kwargs={"a": deep_list})))


def test_recursive_structures_are_refused(refused):
    # 16 is the memo entry of a container that is then put into itself.
    inside_itself = Raw(b"]r\x10\x00\x00\x00j\x10\x00\x00\x00a")
    assert "nested more than" in refused(writer.dumps(networks(training_set_kwargs={"a": inside_itself})))
    meta = Raw(b"}r\x10\x00\x00\x00")
    again = Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), (Raw(b"j\x10\x00\x00\x00"),))
    state = writer.module("Generator", {}, _modules={"a": again}).arguments[0]
    module = Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), (Filled(meta, state),))
    assert "occurs twice" in refused(writer.dumps(networks(G=module)))


def test_structures_that_refer_to_their_parts_many_times_are_refused(refused, monkeypatch):
    # Each list holds the one before eight times: 2^30 items in 500 bytes.
    entries = [(256 + index).to_bytes(4, "little") for index in range(11)]
    lists = [Raw(b"](" + (b"j" + before) * 8 + b"er" + entry) for before, entry in zip(entries, entries[1:])]
    lists = [Raw(b"]r" + entries[0]), *lists]
    monkeypatch.setattr(unpickle, "Budget", lambda: Budget(20_000))
    assert "operations" in refused(writer.dumps(networks(training_set_kwargs={"a": lists})))
    shared = Raw(writer.opcodes(layer()) + b"r\x00\x01\x00\x00")
    twice = {"a": shared, "b": Raw(b"j\x00\x01\x00\x00")}
    assert "occurs twice" in refused(writer.dumps(networks(G=writer.module("Generator", {}, _modules=twice))))


def test_tensors_do_not_unfold_into_many_times_the_file(refused):
    items = np.zeros(100_000, np.float32)
    first = Raw(writer.opcodes(writer.tensor(items).arguments[0]) + b"r\x00\x01\x00\x00")
    again = writer.tensor(items, storage=Raw(b"j\x00\x01\x00\x00"))
    tensors = {"a": writer.tensor(items, storage=first)} | {f"b{index}": again for index in range(20)}
    assert "many times the size of the file" in refused(writer.dumps(with_layer(_buffers=tensors)))
