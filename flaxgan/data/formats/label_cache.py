"""Labels that take long to collect, kept from one run to the next."""

import hashlib
import io
import os
import pathlib
import tempfile
import zlib
from collections.abc import Callable

import numpy as np

_CHECKSUM_BYTES = 4


def cached(identity: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The labels that are kept for a set, or else new ones, which are then kept.

    Where nothing can be kept (a full disk, a folder that may not be written) they are collected each time.

    Args:
      identity: what the labels depend on, as text.
      compute: collects them.

    Returns:
      What `compute` gave, now or in another run.
    """
    path = folder() / f"{hashlib.sha256(identity.encode()).hexdigest()}.npy"
    try:
        return _read(path)
    except Exception:  # not there, or damaged: that raises anything
        values = compute()
    _keep(path, values)
    return values


def folder() -> pathlib.Path:
    """Where labels are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "flaxgan" / "labels"


def _read(path: pathlib.Path) -> np.ndarray:
    """What `_keep` has written; raises anything if it is not there, or not as it was written."""
    content = path.read_bytes()
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if _checksum(data) != checksum:
        raise ValueError(f"{path}: damaged")
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _keep(path: pathlib.Path, values: np.ndarray) -> None:
    data = io.BytesIO()
    np.save(data, values)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            file.write(data.getvalue() + _checksum(data.getvalue()))
        try:
            os.replace(file.name, path)  # Another process sees the whole file or none.
        except OSError:
            os.unlink(file.name)
    except OSError:
        return


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES)
