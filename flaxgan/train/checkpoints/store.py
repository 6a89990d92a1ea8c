"""Checkpoints: the train state on disk, through Orbax.

A checkpoint holds `train` (the state but for the average), `ema` (the generator's average: with the config, all that
tools need), `config`, and `manifest` (checksums of all arrays, and what was measured). States are stored as nested
dicts of arrays, so that a checkpoint does not depend on the Python classes of the day.
"""

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
from flaxgan.train.checkpoints.retention import Policy, Retention
from flaxgan.train.distributed import multihost
from flaxgan.train.step.state import NO_REGULARIZER_STATE, RegularizerState, TrainState

Arrays = dict[str, Any]
"""A nested dict of arrays."""


class SaveError(OSError):
    """A checkpoint or another file of a run that could not be written; the checkpoints before are as they were."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: epath.PathLike, *, keep: int | Retention):
        """Opens the folder, which is made if it is missing.

        Args:
          folder: of the checkpoints, one folder a step in it.
          keep: which checkpoints stay when another one is saved: so many of the latest, or a whole rule.

        Raises:
          ValueError: if it is no folder, cannot be made, or holds a file that Orbax cannot bear.
        """
        integrity.silence_echoes()
        self._folder = epath.Path(folder)
        self._measured: dict[int, dict[str, float]] = {}
        self._saving: int | None = None
        self._rule = keep if isinstance(keep, Retention) else Retention(keep)
        options = ocp.CheckpointManagerOptions(preservation_policy=Policy(self._rule, self._measured), create=True)
        try:
            self._manager = ocp.CheckpointManager(
                self._folder.absolute(), options=options, handler_registry=manifest.handlers()
            )
        except OSError as error:
            raise ValueError(
                f"{folder}: {error.strerror or error}, allowed: a folder that can be written to"
            ) from error
        except Exception as error:  # It reads a file of each checkpoint, and of a damaged one raises anything.
            files = self._folder / "*" / "_CHECKPOINT_METADATA"
            advice = "They say when checkpoints were saved; a damaged one can be deleted"
            raise DamagedError(f"{files}: one is damaged: {integrity.cause(error).rstrip('.')}. {advice}") from error
        for step in self.steps() if self._rule.best else ():
            self._measured[step] = _measured(self._folder / str(step))

    def steps(self) -> list[int]:
        """The steps of all complete checkpoints, rising."""
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """The step of the latest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, config: Config, measured: Mapping[str, float] | None = None) -> None:
        """Starts to save; training goes on while files are written.

        Args:
          state: the train state.
          config: of the run.
          measured: what was measured of it, by which the best checkpoint is kept.

        Raises:
          SaveError: if this or the checkpoint before it cannot be written.
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
        """The state saved at a step.

        Args:
          step: a step that was saved.
          target: a state of the shapes and shardings wanted; ShapeDtypeStruct leaves will do.
          initial: initial values of the regularizers' own state, for a checkpoint that was saved before there was one.
          say: receives a line if such values are taken.

        Raises:
          ValueError: if the checkpoint's arrays are not those of the target; it names the first that differs.
          DamagedError: if the checkpoint is not as it was saved; it names the file or the array.
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
        integrity.check_checksums(folder, arrays, _manifest(folder)["checksums"])
        arrays, absent = older.completed(arrays, wanted, initial)
        if absent:
            say(f"the checkpoint holds no {', '.join(absent)}: each begins at its initial value")
        return serialization.from_state_dict(target, arrays)

    def set_aside_after(self, step: int, folder: epath.Path) -> list[int]:
        """Moves the checkpoints after a step to another folder; returns their steps."""
        later = [other for other in reversed(self.steps()) if other > step]  # The last first: the rest is in order.
        if later and jax.process_index() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            for other in later:
                (self._folder / str(other)).rename(_free_name(folder / str(other)))
        multihost.wait_for_all("set aside")
        self._manager.reload()
        return sorted(later)

    def prune(self) -> None:
        """Deletes what the rule does not keep, as another save would: the rule may have become a smaller one."""
        kept = self._rule.kept(self.steps(), self._measured)
        for step in sorted(set(self.steps()) - kept):  # In one order in all processes.
            self._manager.delete(step)

    def last_good(self) -> str:
        """Which checkpoint there is to continue from, in words."""
        left = steps(self._folder)
        return f"the last good checkpoint is that of step {left[-1]}" if left else "there is no checkpoint yet"

    def check(self) -> None:
        """Raises a SaveError if what was saved last could not be written; waits for nothing."""
        if self._saving is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
          SaveError: if it could not be written.
        """
        step, self._saving = self._saving, None
        with self._explaining(step):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything is on disk, and ends; see `wait`."""
        step, self._saving = self._saving, None
        with self._explaining(step):
            self._manager.close()

    @contextmanager
    def _explaining(self, step: int | None) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            problem = f"{self._folder}: step {step} cannot be saved: {integrity.cause(error)}"
            raise SaveError(f"{problem}; {self.last_good()}") from error


def locate(path: epath.PathLike) -> epath.Path:
    """The checkpoint folder that a run folder, a checkpoints/ folder or a checkpoint folder stands for.

    Raises:
      ValueError: if there is none.
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
    """The steps whose checkpoints a folder holds, rising."""
    if not folder.is_dir():
        return []
    names = [child.name for child in folder.iterdir() if child.is_dir()]
    return sorted(int(name) for name in names if re.fullmatch("[0-9]+", name))


def exists(path: epath.PathLike) -> bool:
    """Whether `locate` finds a checkpoint."""
    try:
        locate(path)
    except ValueError:
        return False
    return True


def read_config(folder: epath.Path) -> Config:
    """The config of the run that a checkpoint belongs to."""
    _require_complete(folder, (folder / "config").exists())
    with integrity.naming_damage(folder):
        return from_json(json.dumps(_read_json(folder, "config")))


def read_average(folder: epath.Path) -> Arrays:
    """The generator's average of a checkpoint: {"params": ..., "variables": ...} as arrays on this host."""
    return _read(folder, "ema")["ema"]


def read_all(folder: epath.Path) -> Arrays:
    """Every array of a checkpoint."""
    found = _read(folder, "train", "ema")
    return {**found["train"], "ema": found["ema"]}


def read_shapes(folder: epath.Path) -> Arrays:
    """The shape and dtype of every array of a checkpoint, without reading the arrays."""
    metadata = _metadata(folder)
    return {**metadata["train"], "ema": metadata["ema"]}


def digest(arrays: Arrays) -> str:
    """sha256 over the paths, dtypes, shapes and bytes of all arrays, in the order of their paths."""
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
    """Items of a checkpoint on this host's first device, whatever devices they were saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    place = lambda found: jax.ShapeDtypeStruct(found.shape, found.dtype, sharding=sharding)
    metadata = _metadata(folder)
    targets = {item: ocp.args.StandardRestore(jax.tree.map(place, metadata[item])) for item in items}
    with integrity.naming_damage(folder), _reader() as reader:
        found = dict(reader.restore(folder.absolute(), args=ocp.args.Composite(**targets)))
    arrays = {name: found[name] for name in items if name != "train"} | found.get("train", {})
    integrity.check_checksums(folder, arrays, _manifest(folder)["checksums"])
    return found


def _metadata(folder: epath.Path) -> dict[str, Arrays]:
    with integrity.naming_damage(folder), _reader() as reader:
        items = dict(reader.metadata(folder.absolute()).item_metadata)
        found = {item: items[item].tree for item in ("train", "ema") if items.get(item) is not None}
        _require_complete(folder, len(found) == 2)
    return found


def _manifest(folder: epath.Path) -> dict[str, dict[str, Any]]:
    """What is known of a checkpoint beside its arrays; nothing of one that an older version has saved."""
    if not (folder / "manifest").exists():
        return {"checksums": {}, "measured": {}}
    with integrity.naming_damage(folder):
        found = _read_json(folder, "manifest")
    sections = [found.get(name) for name in ("checksums", "measured")] if isinstance(found, dict) else [None]
    if not all(isinstance(section, dict) for section in sections):
        raise DamagedError(f"{folder / 'manifest' / 'metadata'}: damaged: it holds no checksums of the arrays")
    return found


def _measured(folder: epath.Path) -> dict[str, float]:
    """What was measured of a checkpoint. One that is damaged is not the best one."""
    try:
        return {name: float(value) for name, value in _manifest(folder)["measured"].items()}
    except (ValueError, TypeError):
        return {}


def _read_json(folder: epath.Path, item: str) -> Any:
    with _reader() as reader:
        return reader.restore(folder.absolute(), args=ocp.args.Composite(**{item: ocp.args.JsonRestore()}))[item]


def _require_complete(folder: epath.Path, is_complete: bool) -> None:
    if not is_complete:
        raise DamagedError(f"{folder}: not a checkpoint, or not a complete one; allowed: one that a run has saved")


def _free_name(path: epath.Path) -> epath.Path:
    """The path, or if that exists, the same with a number."""
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
