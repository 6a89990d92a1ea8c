"""Check of the disk space for the checkpoints of a run."""

import math
import os
import shutil

import jax
from etils import epath

from flaxgan.errors import FieldError, Words
from flaxgan.train.checkpoints.retention import Retention
from flaxgan.train.run import logs
from flaxgan.train.step.state import TrainState


def require_space(workdir: epath.Path, state: TrainState, retention: Retention) -> None:
    """Checks that the disk has room for one checkpoint, and warns if it has no room for all that are kept.

    Args:
      workdir: the run folder, which need not exist. Remote folders are not checked.
      state: a state, whose leaves may be ShapeDtypeStructs.
      retention: the retention policy.

    Raises:
      FieldError: if there is no room for one checkpoint.
    """
    if "://" in str(workdir):
        return
    size, free = checkpoint_bytes(state), _free_bytes(workdir)
    if free < size:
        found = Words(f"{_gib(free)} free on the disk of {workdir}")
        raise FieldError("--workdir", found, f"{_gib(size)} or more, the size of a checkpoint")
    kept = retention.latest + (retention.best is not None) + 1  # One more while a checkpoint is being saved.
    if free < kept * size and not (workdir / "checkpoints").exists():
        needed = _gib(kept * size)
        logs.say(f"warning: {_gib(free)} free on the disk of {workdir}; {kept} checkpoints take up to {needed}")


def checkpoint_bytes(state: TrainState) -> int:
    """Returns the size of a checkpoint's arrays in bytes; arrays that compress well take less on disk."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))


def _free_bytes(path: epath.Path) -> float:
    """Returns the free bytes on the disk of a path, which need not exist; inf for file systems like /proc."""
    there = os.path.abspath(path)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    usage = shutil.disk_usage(there)
    return usage.free if usage.total else math.inf


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
