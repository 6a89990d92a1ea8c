"""A cache on disk for labels that take long to collect."""

import hashlib
import io
import os
import pathlib
import tempfile
import zlib
from collections.abc import Callable

import numpy as np

_CHECKSUM_BYTES = 4


def cached(key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns the cached labels of a set; computes and caches them if they are missing.

    If the cache cannot be written (a full disk, a read-only folder), the labels are computed each time.

    Args:
      key: text that identifies everything the labels depend on.
      compute: collects the labels.

    Returns:
      The result of `compute`, of this or an earlier run.
    """
    path = folder() / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"
    try:
        return _read(path)
    except Exception:  # The file is missing, or damaged, which raises anything.
        values = compute()
    _write(path, values)
    return values


def folder() -> pathlib.Path:
    """Returns the folder of the cache."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "flaxgan" / "labels"


def _read(path: pathlib.Path) -> np.ndarray:
    """Reads what `_write` wrote; raises anything if the file is missing or damaged."""
    content = path.read_bytes()
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if _checksum(data) != checksum:
        raise ValueError(f"{path}: damaged")
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _write(path: pathlib.Path, values: np.ndarray) -> None:
    data = io.BytesIO()
    np.save(data, values)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            file.write(data.getvalue() + _checksum(data.getvalue()))
        try:
            os.replace(file.name, path)  # Other processes see either the whole file or no file.
        except OSError:
            os.unlink(file.name)
    except OSError:
        return


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES)
