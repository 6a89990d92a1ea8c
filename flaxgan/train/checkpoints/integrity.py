"""Detection of damaged checkpoints: unreadable files, and arrays whose values differ from the saved ones."""

import gc
import json
import os
import re
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from etils import epath
from flax import traverse_util

from flaxgan.train.checkpoints.quiet import quiet, stay_quiet

JSON_FILES = ("config/metadata", "manifest/metadata", "*/_METADATA", "*/_sharding", "*/array_metadatas/*")
"""Text files of a checkpoint that Orbax reads, but does not name when they are damaged."""

READS_END_SECONDS = 30.0
"""Time by which the other reads of a damaged checkpoint have ended."""

MAX_REASON = 160
"""Maximum length of a reason in characters; the array store gives long ones."""


class DamagedError(ValueError):
    """A checkpoint whose contents differ from what was saved."""


@contextmanager
def naming_damage(folder: epath.Path) -> Iterator[None]:
    """Turns every error in reading a checkpoint into a DamagedError that names the file.

    Lack of memory and failures of a device are not damage. Their errors pass unchanged.
    """
    with quiet():
        try:
            yield
        except (DamagedError, MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            gc.collect()  # Other failed reads report their errors when they are collected, or when they end.
            stay_quiet(READS_END_SECONDS)
            raise DamagedError(f"{_damaged_file(folder, error)}: damaged: {cause(error)}") from error


def checksums(arrays: dict[str, Any]) -> dict[str, int]:
    """Computes the crc32 of the bytes of each array.

    Args:
      arrays: nested dict of arrays.

    Returns:
      Checksums by the array's path, "g/params/...".
    """
    flat = traverse_util.flatten_dict(arrays, sep="/")
    return {name: zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data) for name, x in flat.items()}


def check_checksums(folder: epath.Path, arrays: dict[str, Any], saved: dict[str, int]) -> None:
    """Compares the checksums of arrays with the saved ones.

    Args:
      folder: the checkpoint.
      arrays: nested dict of the arrays that were read, which may be a part of the checkpoint.
      saved: the saved checksums by path. Arrays without a saved checksum are not checked.

    Raises:
      DamagedError: if the values of an array differ from the saved ones; the message names the array.
    """
    for name, found in checksums(arrays).items():
        if saved.get(name, found) != found:
            raise DamagedError(f"{folder}: damaged: {name} holds other numbers than were saved")


def cause(error: Exception) -> str:
    """Returns in one line why a file could not be read or written."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    numbers = re.findall(r"os_error_code='(\d+)'", str(error))
    if numbers:
        return os.strerror(int(numbers[0]))
    lines = f"{type(error).__name__}: {error}".splitlines() or [""]
    return lines[0] if len(lines[0]) <= MAX_REASON else f"{lines[0][:MAX_REASON]}..."


def _damaged_file(folder: epath.Path, error: Exception) -> epath.Path:
    """Returns the file that an error is about, or the folder of the checkpoint if the file is unknown."""
    paths = re.findall(re.escape(str(folder.absolute())) + r'[^"\'\\\s,;]+', str(error))
    named = [folder / epath.Path(path).relative_to(folder.absolute()) for path in paths]
    named += [epath.Path(error.filename)] if isinstance(error, OSError) and error.filename else []
    files = [path for path in named if not path.is_dir()]
    if files:
        return files[-1]
    candidates = [path for pattern in JSON_FILES for path in folder.glob(pattern)]
    return next((path for path in candidates if not _is_json(path)), folder)


def _is_json(path: epath.Path) -> bool:
    try:
        json.loads(path.read_text())
    except (ValueError, OSError, RecursionError):
        return False
    return True
