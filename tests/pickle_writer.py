"""Writes pickles opcode by opcode, so that tests can store what Python's own pickler would not."""

import math
import pickle
import struct
from typing import Any, NamedTuple

import numpy as np


class Global(NamedTuple):
    """A global, by name; it need not exist."""

    module: str
    name: str


class Call(NamedTuple):
    """A global called with arguments: REDUCE, or NEWOBJ."""

    function: Any
    arguments: Any
    opcode: bytes = pickle.REDUCE


class Build(NamedTuple):
    """A value that is given a state."""

    target: Any
    state: Any


class Filled(NamedTuple):
    """A dict-like value that is given items."""

    target: Any
    items: dict


class PersistentId(NamedTuple):
    """A persistent id."""

    value: Any


class Raw(NamedTuple):
    """Opcodes as they are."""

    opcodes: bytes


def dumps(value: Any, protocol: int = 4) -> bytes:
    """A complete pickle of a value that consists of plain data and the classes above."""
    return pickle.PROTO + bytes([protocol]) + opcodes(value, protocol) + pickle.STOP


def opcodes(value: Any, protocol: int = 4) -> bytes:
    """The opcodes that push a value on the stack."""

    def of(item: Any) -> bytes:
        return opcodes(item, protocol)

    if value is None or isinstance(value, bool):
        return {None: pickle.NONE, True: pickle.NEWTRUE, False: pickle.NEWFALSE}[value]
    if isinstance(value, Raw):
        return value.opcodes
    if isinstance(value, Global):
        if protocol >= 4:
            return of(value.module) + of(value.name) + pickle.STACK_GLOBAL
        return pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return of(value.function) + of(value.arguments) + value.opcode
    if isinstance(value, Build):
        return of(value.target) + of(value.state) + pickle.BUILD
    if isinstance(value, Filled):
        return of(value.target) + _items(value.items, protocol)
    if isinstance(value, PersistentId):
        return of(value.value) + pickle.BINPERSID
    if isinstance(value, dict):
        return pickle.EMPTY_DICT + _items(value, protocol)
    if isinstance(value, list):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(of, value)) + pickle.APPENDS
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(of, value)) + pickle.TUPLE
    return _literal(value)


def _items(items: dict, protocol: int) -> bytes:
    pairs = b"".join(opcodes(part, protocol) for pair in items.items() for part in pair)
    return pickle.MARK + pairs + pickle.SETITEMS


def _literal(value: Any) -> bytes:
    if isinstance(value, int):
        encoded = pickle.encode_long(value)
        return pickle.LONG1 + bytes([len(encoded)]) + encoded
    if isinstance(value, float):
        return pickle.BINFLOAT + struct.pack(">d", value)
    if isinstance(value, str):
        return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return pickle.BINBYTES + struct.pack("<I", len(value)) + value
    raise TypeError(f"cannot write {type(value)}")


def storage_bytes(items: np.ndarray, **changes: Any) -> bytes:
    """A storage in torch's legacy format; `changes` replace parts of it."""
    kind = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}[items.dtype.str[1:]]
    key = changes.get("key", "94")
    persistent_id = ("storage", Global("torch", kind), key, "cuda:0", items.size, None)
    machine = {"protocol_version": 1001, "little_endian": changes.get("little_endian", True), "type_sizes": {"int": 4}}
    parts = [
        changes.get("magic", 0x1950A86A20F9469CFC6C),
        changes.get("version", 1001),
        machine,
        changes.get("handle", PersistentId(changes.get("persistent_id", persistent_id))),
        changes.get("keys", [key]),
    ]
    header = b"".join(dumps(part, protocol=2) for part in parts)
    return header + struct.pack("<q", changes.get("numel", items.size)) + changes.get("data", items.tobytes())


def tensor(items: np.ndarray, *, size: Any = None, stride: Any = None, offset: Any = 0, storage: Any = None) -> Call:
    """A tensor over a storage of its own; size and stride are those of the contiguous array unless given."""
    storage = Call(Global("torch.storage", "_load_from_bytes"), (storage_bytes(items),)) if storage is None else storage
    size = tuple(items.shape) if size is None else size
    stride = tuple(math.prod(items.shape[axis + 1 :]) for axis in range(items.ndim)) if stride is None else stride
    hooks = Call(Global("collections", "OrderedDict"), ())
    arguments = (storage, offset, size, stride, False, hooks)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def parameter(value: np.ndarray | Call) -> Call:
    """A parameter that holds an array or a tensor."""
    value = tensor(value) if isinstance(value, np.ndarray) else value
    return Call(
        Global("torch._utils", "_rebuild_parameter"), (value, False, Call(Global("collections", "OrderedDict"), ()))
    )


def number(value: float) -> Call:
    """A NumPy float64, as modules keep their gains."""
    dtype = Build(Call(Global("numpy", "dtype"), ("f8", False, True)), (3, "<", None, None, None, -1, -1, 0))
    return Call(Global("numpy.core.multiarray", "scalar"), (dtype, struct.pack("<d", value)))


def attribute_dict(items: dict) -> Filled:
    """A dnnlib.EasyDict."""
    return Filled(Call(Global("dnnlib.util", "EasyDict"), (), pickle.NEWOBJ), items)


def module(class_name: str, init_kwargs: dict, *, meta: dict | None = None, **attributes: Any) -> Call:
    """A module as the reference's persistence stores it; `attributes` and `meta` add to or replace its fields."""
    ordered = Call(Global("collections", "OrderedDict"), ())
    state = {
        "training": False,
        "_parameters": {},
        "_buffers": {},
        "_non_persistent_buffers_set": Call(Global("builtins", "set"), ([],)),
        "_forward_hooks": ordered,
        "_modules": {},
        "weight_gain": number(0.25),
        "_init_args": (),
        "_init_kwargs": attribute_dict(init_kwargs),
    } | attributes
    fields = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": class_name, "state": state}
    return Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), (fields | (meta or {}),))


def module_tree(
    class_name: str, init_kwargs: dict, state: dict[str, np.ndarray], buffers: tuple[str, ...] = ()
) -> Call:
    """A module with the parts and tensors of a state_dict.

    Args:
      class_name: its class; parts get that of some layer.
      init_kwargs: its constructor arguments.
      state: dotted name -> array.
      buffers: dotted names that are buffers rather than parameters, besides those that always are.
    """
    always = ("noise_const", "w_avg", "resample_filter", "p", "Hz_geom", "Hz_fbank")
    owned: dict[str, dict] = {"_parameters": {}, "_buffers": {}}
    parts: dict[str, dict] = {}
    for name, array in state.items():
        head, _, rest = name.partition(".")
        if rest:
            parts.setdefault(head, {})[rest] = array
        elif name in always or name in buffers:
            owned["_buffers"][name] = tensor(array)
        else:
            owned["_parameters"][name] = parameter(array)
    modules = {
        head: module_tree("Conv2dLayer", {}, part, tuple(name.removeprefix(f"{head}.") for name in buffers))
        for head, part in parts.items()
    }
    return module(class_name, init_kwargs, **owned, _modules=modules)
