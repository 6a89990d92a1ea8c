"""Labels that take long to collect, kept from one run to the next."""

import hashlib
import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np


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
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or damaged
        values = compute()
    _keep(path, values)
    return values


def folder() -> pathlib.Path:
    """Where labels are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "flaxgan" / "labels"


def _keep(path: pathlib.Path, values: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            np.save(file, values)
        os.replace(file.name, path)  # Another process sees the whole file or none.
    except OSError:
        return
