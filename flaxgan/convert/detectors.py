"""Weights of feature detectors from local files; nothing is downloaded.

    weights = read_detector(path, shapes=weight_shapes(), url=WEIGHTS_URL, sha256=WEIGHTS_SHA256)

with the shapes, address and hash that the detector's module in `flaxgan.metrics` states.
"""

import fnmatch
import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from flaxgan.convert.weight_files import arrays_of_bytes

_NAMES_SHOWN = 5
# state_dict axes -> ours, by number of axes
_AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


class DetectorWeights(NamedTuple):
    """The weights of a detector.

    Attributes:
      params: nested dict, the names split at dots, of float32 arrays; kernels [H, W, I, O], dense weights [I, O].
      sha256: of the file's bytes, to be recorded with what was measured.
      is_published_file: whether the file is, byte by byte, the published one.
    """

    params: dict[str, Any]
    sha256: str
    is_published_file: bool


def read_detector(
    path: str | pathlib.Path,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    url: str,
    sha256: str,
    ignored: Iterable[str] = (),
) -> DetectorWeights:
    """Reads the weights of a detector from a .pth, .npz or .safetensors file with the names of a PyTorch state_dict.

    A file with other bytes than the published one is accepted if it has the right tensors: it may be a conversion.

    Args:
      path: the file.
      shapes: name -> shape in PyTorch's layout, of the tensors that it must hold.
      url: where the file is published, for the messages.
      sha256: of the published file.
      ignored: patterns of names that may be there and are not read.

    Raises:
      FileNotFoundError: if there is no such file; it says where to get it.
      ValueError: naming the file, if it cannot be read or its tensors are not the detector's; it names them.
    """
    path = pathlib.Path(path)
    published = f"the published file is {url} (sha256 {sha256})"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {published}")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    try:
        params = detector_params(arrays_of_bytes(data), shapes=shapes, ignored=ignored)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; its sha256 is {found}, {published}") from error
    return DetectorWeights(params, found, found == sha256)


def detector_params(
    arrays: Mapping[str, np.ndarray], *, shapes: Mapping[str, tuple[int, ...]], ignored: Iterable[str] = ()
) -> dict[str, Any]:
    """A state_dict of a detector as a tree of our layout.

    Args:
      arrays: state_dict name -> float array: kernels [O, I, H, W], dense weights [O, I].
      shapes: name -> shape, of exactly the arrays that there must be.
      ignored: patterns of names that may be there besides, and are left out.

    Returns:
      Nested dict, the names split at dots, of float32 arrays; kernels [H, W, I, O], dense weights [I, O].

    Raises:
      ValueError: naming the tensors that are missing, that are not the detector's, or that have another shape or type.
    """
    unread = [name for name in arrays if name not in shapes and not _matches(name, ignored)]
    wrong = [name for name, shape in shapes.items() if name in arrays and arrays[name].shape != shape]
    problems = (
        ("missing", [name for name in shapes if name not in arrays]),
        ("unexpected", unread),
        ("wrong shape", [f"{name} {list(arrays[name].shape)}, not {list(shapes[name])}" for name in wrong]),
        ("not float", [name for name in shapes if name in arrays and arrays[name].dtype.kind != "f"]),
    )
    said = [f"{what} ({len(names)}): {_shown(names)}" for what, names in problems if names]
    if said:
        raise ValueError("these are not the detector's tensors: " + "; ".join(said))
    params: dict[str, Any] = {}
    for name, shape in shapes.items():
        *modules, leaf = name.split(".")
        tree = params
        for module in modules:
            tree = tree.setdefault(module, {})
        tree[leaf] = np.asarray(arrays[name].transpose(_AXES[len(shape)]), np.float32, order="C")
    return params


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _shown(names: list[str]) -> str:
    """The first few names, with what a terminal would not print escaped: they may be words of the file."""
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
