"""Checkpoints that cannot be read, or hold other numbers than were saved: the file is found and named."""

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
"""The text files that Orbax reads of a checkpoint, which it does not name when they are damaged."""

READS_END_SECONDS = 10.0
"""Time in which the reads of a damaged checkpoint end."""

MAX_REASON = 160
"""Characters of a reason; those of the array store go on for long."""


class DamagedError(ValueError):
    """A checkpoint that is not as it was saved."""


@contextmanager
def naming_damage(folder: epath.Path) -> Iterator[None]:
    """Turns whatever goes wrong in reading a checkpoint into a DamagedError that names the file.

    Lack of memory is not damage, and passes.
    """
    with quiet():
        try:
            yield
        except (DamagedError, MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            gc.collect()  # Reads that have failed as well report it when they are collected, or when they end.
            stay_quiet(READS_END_SECONDS)
            raise DamagedError(f"{_damaged_file(folder, error)}: damaged: {cause(error)}") from error


def checksums(arrays: dict[str, Any]) -> dict[str, int]:
    """The crc32 of the bytes of each array of a nested dict, by its path."""
    flat = traverse_util.flatten_dict(arrays, sep="/")
    return {name: zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8)) for name, array in flat.items()}


def check_checksums(folder: epath.Path, arrays: dict[str, Any], saved: dict[str, int]) -> None:
    """Raises a DamagedError that names an array with other numbers than were saved.

    Args:
      folder: the checkpoint.
      arrays: what was read of it; it may be a part.
      saved: the checksums at saving; of arrays without one nothing is known.
    """
    for name, found in checksums(arrays).items():
        if saved.get(name, found) != found:
            raise DamagedError(f"{folder}: damaged: {name} holds other numbers than were saved")


def cause(error: Exception) -> str:
    """Why something could not be read or written, in a line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    numbers = re.findall(r"os_error_code='(\d+)'", str(error))
    if numbers:
        return os.strerror(int(numbers[0]))
    lines = f"{type(error).__name__}: {error}".splitlines() or [""]
    return lines[0] if len(lines[0]) <= MAX_REASON else f"{lines[0][:MAX_REASON]}..."


def _damaged_file(folder: epath.Path, error: Exception) -> epath.Path:
    """The file that an error is about, or the whole checkpoint if nothing tells."""
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
