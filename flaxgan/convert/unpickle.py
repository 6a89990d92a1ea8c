"""Reading of StyleGAN2-ADA network pickles (PyTorch) without torch and without executing anything in them.

A network pickle is one pickled dict of modules. Each module is a record of its class name, the source text of that
class (which is never read), its attributes, and its constructor arguments.
"""

import dataclasses
import io
import pathlib
import struct
from typing import Any

from flaxgan.convert import torch_storage
from flaxgan.convert.module_records import ModuleReader, ModuleRecord, StoredModule
from flaxgan.convert.pickle_machine import Budget, PickleMachine, PickleRefused

NETWORKS = ("G", "D", "G_ema")
OPTIONAL_KEYS = ("training_set_kwargs", "augment_pipe")
# Tensors may share a storage, but a file may not expand to many times its own size.
MAX_GROWTH = 8


@dataclasses.dataclass(frozen=True)
class PickleRecords:
    """The content of a network pickle.

    Attributes:
      networks: the modules "G", "D" and "G_ema".
      augment_pipe: the augmentation in front of D, or None.
      training_set_kwargs: constructor arguments of the reference's dataset, plain data, or None.
    """

    networks: dict[str, ModuleRecord]
    augment_pipe: ModuleRecord | None
    training_set_kwargs: dict[str, Any] | None


def read_records(path: str | pathlib.Path) -> PickleRecords:
    """Reads a network pickle of the StyleGAN2-ADA PyTorch reference, of pickle protocol 3 to 5.

    Args:
      path: the file.

    Returns:
      Its modules with their weights and constructor arguments.

    Raises:
      PickleRefused: naming the file and the reason, if it is another kind of file, is damaged, or contains a global,
        a class or a tensor that is not allowed.
      OSError: if the file does not exist or cannot be read.
    """
    data = pathlib.Path(path).read_bytes()
    try:
        return _records(data)
    except PickleRefused as refusal:
        raise PickleRefused(f"{path}: {refusal}") from None


def _records(data: bytes) -> PickleRecords:
    _refuse_other_formats(data)
    budget = Budget()
    top = _unpickle(data, budget)
    if type(top) is not dict:
        raise PickleRefused(f"found {type(top).__name__}, allowed: a dict of networks")
    unknown = [key for key in top if key not in (*NETWORKS, *OPTIONAL_KEYS)]
    missing = [key for key in NETWORKS if top.get(key) is None]
    if unknown or missing:
        problem = f"unknown key {str(unknown[0])[:60]!r}" if unknown else f"missing key {missing[0]!r}"
        raise PickleRefused(f"{problem}, allowed: {', '.join(NETWORKS)}, and optionally {', '.join(OPTIONAL_KEYS)}")
    reader = ModuleReader(budget, MAX_GROWTH * len(data))
    pipe, dataset = top.get("augment_pipe"), top.get("training_set_kwargs")
    if type(dataset) not in (dict, type(None)):
        raise PickleRefused(f"training_set_kwargs: found {type(dataset).__name__}, allowed: a dict or None")
    return PickleRecords(
        networks={name: reader.read(top[name], name) for name in NETWORKS},
        augment_pipe=None if pipe is None else reader.read(pipe, "augment_pipe"),
        training_set_kwargs=reader.plain(dataset, "training_set_kwargs"),
    )


def _refuse_other_formats(data: bytes) -> None:
    if data.startswith(b"PK\x03\x04"):
        raise PickleRefused("found a ZIP archive of torch.save, allowed: a network pickle of StyleGAN2-ADA PyTorch")
    if b"dnnlib.tflib.network" in data[:256]:
        raise PickleRefused(
            "found a pickle of the TensorFlow implementation (dnnlib.tflib.network.Network), allowed: one of "
            "StyleGAN2-ADA PyTorch; convert it with the legacy.py of that project"
        )


def _unpickle(data: bytes, budget: Budget) -> Any:
    """Returns the pickle's value: plain containers and numbers, `StoredModule`s and `Tensor`s."""
    builders = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): StoredModule.from_arguments,
        ("torch._utils", "_rebuild_parameter"): torch_storage.rebuild_parameter,
        ("torch._utils", "_rebuild_tensor_v2"): torch_storage.rebuild_tensor,
        ("torch.storage", "_load_from_bytes"): lambda arguments: torch_storage.load_storage(arguments, budget),
        ("collections", "OrderedDict"): _empty_dict,
        ("dnnlib.util", "EasyDict"): _empty_dict,
        ("builtins", "set"): _empty_set,
        ("numpy", "dtype"): _NumberType.from_arguments,
        ("numpy._core.multiarray", "scalar"): _number,
        ("numpy.core.multiarray", "scalar"): _number,
    }
    stream = io.BytesIO(data)
    value = PickleMachine(builders, budget, build=_check_state).run(stream, len(data))
    if stream.tell() != len(data):
        raise PickleRefused(f"{len(data) - stream.tell()} bytes follow the end of the pickle")
    return value


def _empty_dict(arguments: tuple) -> dict:
    """Builds an ordered or attribute dict, whose items follow, as a dict, which keeps their order too."""
    if arguments != ():
        raise PickleRefused("an OrderedDict or EasyDict is created with arguments, allowed: none")
    return {}


def _empty_set(arguments: tuple) -> frozenset:
    """Builds an empty set, the only set that the reference stores."""
    if len(arguments) != 1 or type(arguments[0]) is not list or arguments[0]:
        raise PickleRefused("found a set with members, allowed: an empty set")
    return frozenset()


@dataclasses.dataclass(frozen=True)
class _NumberType:
    """The NumPy dtype of a scalar that a module keeps as an attribute."""

    code: str

    @classmethod
    def from_arguments(cls, arguments: tuple) -> "_NumberType":
        code = arguments[0] if arguments else None
        if type(code) is not str or code not in _NUMBER_FORMATS or len(arguments) != 3:
            found = code[:20] if type(code) is str else type(code).__name__
            raise PickleRefused(f"numpy.dtype: found {found!r}, allowed: {', '.join(_NUMBER_FORMATS)}")
        return cls(code)


_NUMBER_FORMATS = {"f8": "<d", "f4": "<f", "i8": "<q"}
_NUMBER_TYPE_STATE = (3, "<", None, None, None, -1, -1, 0)


def _check_state(target: Any, state: Any) -> None:
    """Handles BUILD, which only dtypes need: checks that the state is the usual one and sets nothing."""
    if type(target) is not _NumberType:
        raise PickleRefused(f"the pickle sets the state of a {type(target).__name__}, which is not allowed")
    if type(state) is not tuple or any(type(item) not in (int, str, type(None)) for item in state):
        raise PickleRefused("a numpy.dtype has an unknown state")
    if state != _NUMBER_TYPE_STATE:
        raise PickleRefused("a numpy.dtype has an unknown state, allowed: little-endian numbers")


def _number(arguments: tuple) -> int | float:
    """Builds a NumPy scalar from (dtype, bytes)."""
    if len(arguments) != 2 or type(arguments[0]) is not _NumberType or type(arguments[1]) is not bytes:
        raise PickleRefused("a NumPy scalar must consist of a dtype and bytes")
    number_format = _NUMBER_FORMATS[arguments[0].code]
    if len(arguments[1]) != struct.calcsize(number_format):
        raise PickleRefused(f"a NumPy scalar of type {arguments[0].code} has {len(arguments[1])} bytes")
    return struct.unpack(number_format, arguments[1])[0]
