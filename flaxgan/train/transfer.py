"""Transfer learning: starting from the networks of another run, as far as they fit."""

import dataclasses
from typing import Any

import jax
import numpy as np
from etils import epath
from flax import serialization, traverse_util

from flaxgan.train import checkpoint
from flaxgan.train.state import TrainState

_PARTS = ("g/params", "g/variables", "d/params", "d/variables", "ema/params", "ema/variables")


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of each array, by name.

    Attributes:
      loaded: taken from the other run.
      skipped: in the other run only, or of another shape there, with the reason.
      initialized: not found in the other run: as freshly initialized.
    """

    loaded: list[str]
    skipped: dict[str, str]
    initialized: list[str]

    def lines(self) -> list[str]:
        """The report for a person to read."""
        summary = f"{len(self.loaded)} arrays loaded, {len(self.skipped)} skipped, {len(self.initialized)} new"
        skipped = [f"  skipped: {name} ({reason})" for name, reason in self.skipped.items()]
        return [summary, *skipped, *(f"  newly initialized: {name}" for name in self.initialized)]


def load_networks(state: TrainState, path: epath.PathLike) -> tuple[TrainState, Report]:
    """The state with the networks of another run: generator, discriminator, average, and their variables.

    Arrays are matched by name and shape; the optimizers, the counters, the path length mean and the augmentation start
    anew, as in the official code's transfer learning.

    Args:
      state: a fresh state of the new run.
      path: a run folder or checkpoint, as training or `flaxgan import-pkl` writes it.

    Raises:
      ValueError: if there is no checkpoint, or nothing in it fits.
    """
    folder = checkpoint.locate(path)
    found = _networks(checkpoint.read_all(folder))
    tree = serialization.to_state_dict(state)
    own = _networks(tree)
    report = _compare(own, found)
    if not any("params" in name for name in report.loaded):
        raise ValueError(f"config.init_from: no parameter of {folder} has the name and shape of one of this run")
    flat = traverse_util.flatten_dict(tree, sep="/", keep_empty_nodes=True)
    for name in report.loaded:
        flat[name] = jax.device_put(np.asarray(found[name]), own[name].sharding)
    tree = traverse_util.unflatten_dict(flat, sep="/")
    return serialization.from_state_dict(state, tree), report


def _networks(tree: dict[str, Any]) -> dict[str, Any]:
    """The arrays of the networks by full name, without optimizers and counters."""
    flat = traverse_util.flatten_dict(tree, sep="/")
    return {name: array for name, array in flat.items() if name.startswith(tuple(f"{part}/" for part in _PARTS))}


def _compare(own: dict[str, Any], found: dict[str, Any]) -> Report:
    loaded, skipped = [], {}
    for name, array in found.items():
        if name not in own:
            skipped[name] = "not in this run's networks"
        elif tuple(array.shape) != tuple(own[name].shape):
            skipped[name] = f"{tuple(array.shape)} there, {tuple(own[name].shape)} here"
        else:
            loaded.append(name)
    return Report(loaded, skipped, [name for name in own if name not in loaded])
