"""Checkpoints: the train state on disk, through Orbax.

A checkpoint holds `train` (the state but for the average), `ema` (the generator's average: with the config, all that
tools need) and `config`. States are stored as nested dicts of arrays, so that a checkpoint does not depend on the
Python classes of the day.
"""

import hashlib
import json
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization, traverse_util

from flaxgan.config import Config, from_json, to_json
from flaxgan.train.state import TrainState

Arrays = dict[str, Any]
"""A nested dict of arrays."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: epath.PathLike, *, keep: int):
        """Opens the folder, which is made if it is missing; the latest `keep` checkpoints are kept."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._folder = epath.Path(folder)
        self._manager = ocp.CheckpointManager(self._folder.absolute(), options=options)

    def latest_step(self) -> int | None:
        """The step of the latest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, config: Config) -> None:
        """Starts to save; training goes on while files are written."""
        arrays = serialization.to_state_dict(state)
        ema = arrays.pop("ema")
        items = ocp.args.Composite(
            train=ocp.args.StandardSave(arrays),
            ema=ocp.args.StandardSave(ema),
            config=ocp.args.JsonSave(json.loads(to_json(config))),
        )
        self._manager.save(int(state.step), args=items)

    def restore(self, step: int, target: TrainState) -> TrainState:
        """The state saved at a step.

        Args:
          step: a step that was saved.
          target: a state of the shapes and shardings wanted; ShapeDtypeStruct leaves will do.

        Raises:
          ValueError: if the checkpoint's arrays are not those of the target; it names the first that differs.
        """
        wanted = serialization.to_state_dict(target)
        folder = self._folder / str(step)
        _check_shapes(read_shapes(folder), wanted, folder)
        wanted = jax.tree.map(_abstract, wanted)
        ema = wanted.pop("ema")
        items = ocp.args.Composite(train=ocp.args.StandardRestore(wanted), ema=ocp.args.StandardRestore(ema))
        found = self._manager.restore(step, args=items)
        return serialization.from_state_dict(target, {**found["train"], "ema": found["ema"]})

    def wait(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything is on disk, and ends."""
        self._manager.close()


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
    steps = [int(child.name) for child in folder.iterdir() if child.name.isdigit()] if folder.is_dir() else []
    if not steps:
        raise ValueError(f"{path}: holds no checkpoint; allowed: a run folder or a checkpoint in it")
    return folder / str(max(steps))


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
    with _reader() as reader:
        found = reader.restore(folder.absolute(), args=ocp.args.Composite(config=ocp.args.JsonRestore()))
    return from_json(json.dumps(found["config"]))


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
    }
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler(**items))


def _read(folder: epath.Path, *items: str) -> dict[str, Arrays]:
    """Items of a checkpoint on this host's first device, whatever devices they were saved from."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    place = lambda found: jax.ShapeDtypeStruct(found.shape, found.dtype, sharding=sharding)
    metadata = _metadata(folder)
    targets = {item: ocp.args.StandardRestore(jax.tree.map(place, metadata[item])) for item in items}
    with _reader() as reader:
        return dict(reader.restore(folder.absolute(), args=ocp.args.Composite(**targets)))


def _metadata(folder: epath.Path) -> dict[str, Arrays]:
    with _reader() as reader:
        items = dict(reader.metadata(folder.absolute()).item_metadata)
    found = {item: items[item].tree for item in ("train", "ema") if items.get(item) is not None}
    _require_complete(folder, len(found) == 2)
    return found


def _require_complete(folder: epath.Path, is_complete: bool) -> None:
    if not is_complete:
        raise ValueError(f"{folder}: not a checkpoint, or not a complete one; allowed: one that a run has saved")


def _abstract(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)


def _check_shapes(found: Arrays, wanted: Arrays, folder: epath.Path) -> None:
    found, wanted = (traverse_util.flatten_dict(tree, sep="/") for tree in (found, wanted))
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [tuple(tree[name].shape) if name in tree else "absent" for tree in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{folder}: {name} is {shapes[0]} in the checkpoint, and {shapes[1]} in this run")
