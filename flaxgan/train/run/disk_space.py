"""Whether the disk of a run folder has room for what the run is going to write."""

import math
import os
import shutil

import jax
from etils import epath

from flaxgan.train.checkpoints.retention import Retention
from flaxgan.train.run import logs
from flaxgan.train.step.state import TrainState


def check(workdir: epath.Path, state: TrainState, retention: Retention) -> None:
    """Refuses a disk without room for one checkpoint, and warns of one without room for all that are kept.

    Args:
      workdir: the run folder, which need not exist; remote ones are not looked at.
      state: shapes and dtypes.
      retention: which checkpoints stay.

    Raises:
      ValueError: naming the space that is there and the space that is needed.
    """
    if "://" in str(workdir):
        return
    size, free = checkpoint_bytes(state), _free_bytes(workdir)
    if free < size:
        raise ValueError(
            f"--workdir: found {_gib(free)} free where {workdir} lies, allowed: {_gib(size)} or more, for a checkpoint"
        )
    kept = retention.latest + (retention.best is not None) + 1  # One more while it is being saved.
    if free < kept * size and not (workdir / "checkpoints").exists():
        logs.say(f"warning: {_gib(free)} free where {workdir} lies; {kept} checkpoints take up to {_gib(kept * size)}")


def checkpoint_bytes(state: TrainState) -> int:
    """Size of a checkpoint's arrays; those that compress well take less on disk."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))


def _free_bytes(path: epath.Path) -> float:
    """Free space where a path is or will be made; inf where there is no such notion, as in /proc."""
    there = os.path.abspath(path)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    usage = shutil.disk_usage(there)
    return usage.free if usage.total else math.inf


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
