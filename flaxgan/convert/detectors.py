"""Reading of feature detectors' weights from local files; nothing is downloaded.

    weights = read_detector(path, shapes=weight_shapes(), url=WEIGHTS_URL, sha256=WEIGHTS_SHA256)

The detector's module in `flaxgan.metrics` states the shapes, the address and the hash.
"""

import fnmatch
import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from flaxgan.convert.weight_files import arrays_of_bytes

_NAMES_SHOWN = 5
# number of axes -> order of the state_dict's axes in flaxgan's layout
_AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


class DetectorWeights(NamedTuple):
    """The weights of a detector.

    Attributes:
      params: nested dict of float32 arrays, names split at dots; kernels [H, W, I, O], dense weights [I, O].
      sha256: SHA-256 of the file, to be recorded with the measurements.
      is_published_file: whether the file is byte for byte the published one.
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

    A file that differs from the published one is accepted if it has the right tensors, because it may be a conversion.

    Args:
      path: the file.
      shapes: name -> shape in PyTorch's layout of the required tensors.
      url: address of the published file, for messages.
      sha256: SHA-256 of the published file.
      ignored: patterns of the names of tensors that are allowed and not read.

    Raises:
      FileNotFoundError: if the file does not exist; the message has the address of the published file.
      ValueError: naming the file, if it cannot be read; naming the tensors as well, if they are not the detector's.
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
    """Converts the state_dict of a detector to a tree in flaxgan's layout.

    Args:
      arrays: state_dict name -> float array: kernels [O, I, H, W], dense weights [O, I].
      shapes: name -> shape of the required arrays; no others are allowed.
      ignored: patterns of the names of further arrays that are allowed and left out.

    Returns:
      Nested dict of float32 arrays, names split at dots; kernels [H, W, I, O], dense weights [I, O].

    Raises:
      ValueError: naming the tensors that are missing, unexpected, or of the wrong shape or type.
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
    """Joins the first few names, which may come from the file; non-printable characters are escaped."""
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
