"""Checkpoints: the train state on disk, through Orbax.

A checkpoint holds four items: `train` (the state without the average), `ema` (the generator's average: with the config,
all that tools need), `config`, and `manifest` (checksums of all arrays, and the measured values of metrics). States are
stored as nested dicts of arrays, so that a checkpoint does not depend on Python classes.
"""

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization, traverse_util

from flaxgan.config import Config, from_json, to_json
from flaxgan.train.checkpoints import integrity, manifest, older
from flaxgan.train.checkpoints.integrity import DamagedError
from flaxgan.train.checkpoints.quiet import quiet, stay_quiet
from flaxgan.train.checkpoints.retention import OrbaxPolicy, Retention
from flaxgan.train.distributed import multihost
from flaxgan.train.step.state import NO_REGULARIZER_STATE, RegularizerState, TrainState

Arrays = dict[str, Any]
"""A nested dict of arrays."""

WRITES_END_SECONDS = 900.0
"""Time by which threads of Orbax that wait for a failed write have ended."""


class SaveError(OSError):
    """A checkpoint or another file of a run that could not be written; earlier checkpoints are unchanged."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: epath.PathLike, *, keep: int | Retention) -> None:
        """Opens a folder of checkpoints and creates it if it is missing.

        Args:
          folder: the folder, which holds one folder for each step.
          keep: retention policy, or the number of latest checkpoints to keep.

        Raises:
          ValueError: if the path is not a folder, the folder cannot be created, or Orbax cannot read a file in it.
        """
        self._folder = epath.Path(folder)
        self._measured: dict[int, dict[str, float]] = {}
        self._saving: int | None = None
        self._retention = keep if isinstance(keep, Retention) else Retention(keep)
        with contextlib.ExitStack() as opened:
            opened.enter_context(quiet())
            self._manager = _open_manager(self._folder, OrbaxPolicy(self._retention, self._measured))
            self._opened = opened.pop_all()
        for step in self.steps() if self._retention.best else ():
            self._measured[step] = manifest.read_measured(self._folder / str(step))

    def steps(self) -> list[int]:
        """Returns the steps of all complete checkpoints in ascending order."""
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """Returns the step of the latest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, config: Config, measured: Mapping[str, float] | None = None) -> None:
        """Starts to save a checkpoint in the background.

        Blocks until the previous checkpoint is written and all arrays are copied to the host. After that, training may
        donate the buffers of the state.

        Args:
          state: the train state.
          config: the config of the run.
          measured: values of metrics by name, from which the best checkpoint is chosen.

        Raises:
          SaveError: if this or the previous checkpoint cannot be written.
        """
        arrays = older.saved_part(serialization.to_state_dict(state))
        step = int(state.step)
        self.wait()
        described = manifest.save_args(arrays, measured or {})
        ema = arrays.pop("ema")
        items = ocp.args.Composite(
            train=ocp.args.StandardSave(arrays),
            ema=ocp.args.StandardSave(ema),
            config=ocp.args.JsonSave(json.loads(to_json(config))),
            manifest=described,
        )
        with self._explaining(step):
            self._measured[step] = dict(measured or {})
            self._manager.save(step, args=items)
        self._saving = step

    def restore(
        self,
        step: int,
        target: TrainState,
        *,
        initial: RegularizerState = NO_REGULARIZER_STATE,
        say: Callable[[str], None] = lambda line: None,
    ) -> TrainState:
        """Restores the state saved at a step.

        Args:
          step: the step of a checkpoint.
          target: a state with the wanted shapes and shardings, whose leaves may be ShapeDtypeStructs.
          initial: initial values of the regularizers' own state, for checkpoints that do not hold it.
          say: receives one line if initial values are used.

        Raises:
          ValueError: if the names or shapes of the arrays differ from the target's; the message names the first.
          DamagedError: if the checkpoint is damaged; the message names the file or the array.
        """
        folder = self._folder / str(step)
        wanted = jax.tree.map(_abstract, serialization.to_state_dict(target))
        saved = read_shapes(folder)
        layout = older.saved_layout(wanted, saved)
        _check_shapes(saved, layout, folder)
        ema = layout.pop("ema")
        items = ocp.args.Composite(train=ocp.args.StandardRestore(layout), ema=ocp.args.StandardRestore(ema))
        with integrity.naming_damage(folder):
            found = self._manager.restore(step, args=items)
        arrays = {**found["train"], "ema": found["ema"]}
        integrity.check_checksums(folder, arrays, manifest.read(folder)["checksums"])
        arrays, absent = older.completed(arrays, wanted, initial)
        if absent:
            say(f"the checkpoint holds no {', '.join(absent)}: each begins at its initial value")
        return serialization.from_state_dict(target, arrays)

    def set_aside_after(self, step: int, folder: epath.Path) -> list[int]:
        """Moves the checkpoints after a step to another folder and returns their steps."""
        # The latest first: if the program is killed in between, the remaining ones are still without gaps.
        later = [other for other in reversed(self.steps()) if other > step]
        if later and jax.process_index() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            for other in later:
                (self._folder / str(other)).rename(_free_name(folder / str(other)))
        multihost.wait_for_all("set aside")
        self._manager.reload()
        return sorted(later)

    def prune(self) -> None:
        """Deletes the checkpoints that a changed retention policy no longer keeps, without waiting for a save."""
        kept = self._retention.kept(self.steps(), self._measured)
        for step in sorted(set(self.steps()) - kept):  # All processes delete in the same order.
            self._manager.delete(step)

    def last_good(self) -> str:
        """Describes the checkpoint from which the run can continue."""
        left = steps(self._folder)
        return f"the last good checkpoint is that of step {left[-1]}" if left else "there is no checkpoint yet"

    def check(self) -> None:
        """Raises a SaveError if the last checkpoint could not be written; does not block."""
        if self._saving is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Blocks until the last checkpoint is complete on disk.

        Raises:
          SaveError: if it could not be written.
        """
        step, self._saving = self._saving, None
        with self._explaining(step):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits as `wait` does and releases all resources."""
        step, self._saving = self._saving, None
        with self._opened, self._explaining(step):
            self._manager.close()

    @contextmanager
    def _explaining(self, step: int | None) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            stay_quiet(WRITES_END_SECONDS)
            problem = f"{self._folder}: step {step} cannot be saved: {integrity.cause(error)}"
            raise SaveError(f"{problem}; {self.last_good()}") from error


def _open_manager(folder: epath.Path, policy: OrbaxPolicy) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(preservation_policy=policy, create=True)
    try:
        return ocp.CheckpointManager(folder.absolute(), options=options, handler_registry=manifest.handlers())
    except OSError as error:
        raise ValueError(f"{folder}: {error.strerror or error}, allowed: a folder that can be written to") from error
    except Exception as error:  # Orbax reads one file of each checkpoint, and a damaged one raises any exception.
        files = folder / "*" / "_CHECKPOINT_METADATA"
        advice = "They say when checkpoints were saved; a damaged one can be deleted"
        raise DamagedError(f"{files}: one is damaged: {integrity.cause(error).rstrip('.')}. {advice}") from error


def locate(path: epath.PathLike) -> epath.Path:
    """Returns the folder of a checkpoint.

    Args:
      path: a run folder or its folder checkpoints/, which stand for their latest checkpoint, or a checkpoint.

    Raises:
      ValueError: if there is no checkpoint.
    """
    path = epath.Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; allowed: a run folder or a checkpoint in it")
    if (path / "ema").exists() and (path / "train").exists():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").exists() else path
    found = steps(folder)
    if not found:
        raise ValueError(f"{path}: holds no checkpoint; allowed: a run folder or a checkpoint in it")
    return folder / str(found[-1])


def steps(folder: epath.Path) -> list[int]:
    """Returns the steps of the checkpoints in a folder in ascending order."""
    if not folder.is_dir():
        return []
    names = [child.name for child in folder.iterdir() if child.is_dir()]
    return sorted(int(name) for name in names if re.fullmatch("[0-9]+", name))


def exists(path: epath.PathLike) -> bool:
    """Returns whether `locate` finds a checkpoint."""
    try:
        locate(path)
    except ValueError:
        return False
    return True


def read_config(folder: epath.Path) -> Config:
    """Reads the config of the run from its checkpoint."""
    _require_complete(folder, (folder / "config").exists())
    with integrity.naming_damage(folder):
        return from_json((folder / "config" / "metadata").read_text())


def read_average(folder: epath.Path) -> Arrays:
    """Reads the generator's average from a checkpoint: {"params": ..., "variables": ...}, arrays on one device."""
    return _read(folder, "ema")["ema"]


def read_all(folder: epath.Path) -> Arrays:
    """Reads every array of a checkpoint."""
    found = _read(folder, "train", "ema")
    return {**found["train"], "ema": found["ema"]}


def read_shapes(folder: epath.Path) -> Arrays:
    """Reads the shape and dtype of every array of a checkpoint, without the arrays."""
    metadata = _metadata(folder)
    return {**metadata["train"], "ema": metadata["ema"]}


def digest(arrays: Arrays) -> str:
    """Computes the sha256 of the paths, dtypes, shapes and bytes of all arrays, in the order of their paths."""
    total = hashlib.sha256()
    for path, array in sorted(traverse_util.flatten_dict(arrays, sep="/").items()):
        array = np.asarray(array)
        total.update(f"{path} {array.dtype} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _reader() -> ocp.Checkpointer:
    items = {
        "train": ocp.StandardCheckpointHandler(),
        "ema": ocp.StandardCheckpointHandler(),
        "config": ocp.JsonCheckpointHandler(),
        "manifest": ocp.JsonCheckpointHandler(),
    }
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler(**items))


def _read(folder: epath.Path, *items: str) -> dict[str, Arrays]:
    """Reads items of a checkpoint to the first local device, whatever devices they were saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    place = lambda found: jax.ShapeDtypeStruct(found.shape, found.dtype, sharding=sharding)
    metadata = _metadata(folder)
    targets = {item: ocp.args.StandardRestore(jax.tree.map(place, metadata[item])) for item in items}
    with integrity.naming_damage(folder), _reader() as reader:
        found = dict(reader.restore(folder.absolute(), args=ocp.args.Composite(**targets)))
    arrays = {name: found[name] for name in items if name != "train"} | found.get("train", {})
    integrity.check_checksums(folder, arrays, manifest.read(folder)["checksums"])
    return found


def _metadata(folder: epath.Path) -> dict[str, Arrays]:
    with integrity.naming_damage(folder), _reader() as reader:
        items = dict(reader.metadata(folder.absolute()).item_metadata)
        found = {item: items[item].tree for item in ("train", "ema") if items.get(item) is not None}
        _require_complete(folder, len(found) == 2)
    return found


def _require_complete(folder: epath.Path, is_complete: bool) -> None:
    if not is_complete:
        raise DamagedError(f"{folder}: not a checkpoint, or not a complete one; allowed: one that a run has saved")


def _free_name(path: epath.Path) -> epath.Path:
    """Returns the path, with a number appended if it exists."""
    names = itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))
    return next(name for name in names if not name.exists())


def _abstract(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)


def _check_shapes(found: Arrays, wanted: Arrays, folder: epath.Path) -> None:
    found, wanted = (traverse_util.flatten_dict(tree, sep="/") for tree in (found, wanted))
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [tuple(tree[name].shape) if name in tree else "absent" for tree in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{folder}: {name} is {shapes[0]} in the checkpoint, and {shapes[1]} in this run")
