"""Transfer learning: starting from the networks of another run, as far as they fit."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath
from flax import serialization, traverse_util

from flaxgan.train.checkpoints import store
from flaxgan.train.step.state import TrainState

PARTS = ("g/params", "g/variables", "d/params", "d/variables", "ema/params", "ema/variables")
"""What is taken over of a train state."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What becomes of each array, by name.

    Attributes:
      loaded: taken from the other run.
      skipped: in the other run only, or of another shape there, with the reason.
      initialized: not found in the other run, or skipped: as freshly initialized.
    """

    loaded: list[str]
    skipped: dict[str, str]
    initialized: list[str]

    def lines(self) -> Iterator[str]:
        """The report for a person to read."""
        yield f"{len(self.loaded)} arrays loaded, {len(self.skipped)} skipped, {len(self.initialized)} new"
        for part in PARTS:
            loaded, new = (sum(_is_in(part, name) for name in names) for names in (self.loaded, self.initialized))
            if loaded + new:
                yield f"  loaded: {loaded} of {loaded + new} arrays of {part}"
        yield from (f"  skipped: {name} ({reason})" for name, reason in self.skipped.items())
        yield from (f"  newly initialized: {name}" for name in self.initialized)


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
    report = check(state, path)
    found = _networks(store.read_all(store.locate(path)))
    flat = traverse_util.flatten_dict(serialization.to_state_dict(state), sep="/", keep_empty_nodes=True)
    for name in report.loaded:
        flat[name] = jax.device_put(np.asarray(found[name]), flat[name].sharding)
    return serialization.from_state_dict(state, traverse_util.unflatten_dict(flat, sep="/")), report


def check(state: TrainState, path: epath.PathLike) -> Report:
    """What `load_networks` does, from shapes alone.

    Args:
      state: a state of the new run; ShapeDtypeStruct leaves will do.
      path: see `load_networks`.

    Raises:
      ValueError: if there is no checkpoint, or nothing in it fits.
    """
    try:
        folder = store.locate(path)
        found = _networks(store.read_shapes(folder))
    except ValueError as error:
        raise ValueError(f"config.init_from: {error}") from None
    report = _compare(_networks(serialization.to_state_dict(state)), found)
    if not any("/params/" in name for name in report.loaded):
        allowed = "a run of which at least one parameter has the name and shape of one of this run"
        raise ValueError(f"config.init_from: found {folder}, allowed: {allowed}")
    return report


def _networks(tree: dict[str, Any]) -> dict[str, Any]:
    """The arrays of the networks by full name, without optimizers and counters."""
    flat = traverse_util.flatten_dict(tree, sep="/")
    return {name: array for name, array in flat.items() if any(_is_in(part, name) for part in PARTS)}


def _compare(own: dict[str, Any], found: dict[str, Any]) -> Report:
    loaded, skipped = [], {}
    for name, array in found.items():
        if name not in own:
            skipped[name] = "not in this run's networks"
        elif tuple(array.shape) != tuple(own[name].shape):
            skipped[name] = f"{tuple(array.shape)} there, {tuple(own[name].shape)} here"
        else:
            loaded.append(name)
    return Report(loaded, skipped, initialized=sorted(set(own) - set(loaded)))


def _is_in(part: str, name: str) -> bool:
    return name.startswith(f"{part}/")
