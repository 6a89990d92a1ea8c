"""Transfer learning: initialization from the networks of another run, where names and shapes match."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath
from flax import serialization, traverse_util

from flaxgan.errors import FieldError, Words
from flaxgan.train.checkpoints import store
from flaxgan.train.step.state import TrainState

PARTS = ("g/params", "g/variables", "d/params", "d/variables", "ema/params", "ema/variables")
"""Parts of the train state that are loaded from the other run."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Outcome for each array, by the array's name.

    Attributes:
      loaded: arrays loaded from the other run.
      skipped: arrays of the other run that have no counterpart of the same shape in this run, with the reason.
      initialized: arrays of this run that were not loaded, and keep their initial values.
    """

    loaded: list[str]
    skipped: dict[str, str]
    initialized: list[str]

    def lines(self) -> Iterator[str]:
        """Yields the report as lines of text."""
        yield f"{len(self.loaded)} arrays loaded, {len(self.skipped)} skipped, {len(self.initialized)} new"
        for part in PARTS:
            loaded, new = (sum(_is_in(part, name) for name in names) for names in (self.loaded, self.initialized))
            if loaded + new:
                yield f"  loaded: {loaded} of {loaded + new} arrays of {part}"
        yield from (f"  skipped: {name} ({reason})" for name, reason in self.skipped.items())
        yield from (f"  newly initialized: {name}" for name in self.initialized)


def load_networks(state: TrainState, path: epath.PathLike) -> tuple[TrainState, Report]:
    """Loads the networks of another run: generator, discriminator, average, and their variables.

    Arrays are matched by name and shape. The optimizers, the counters, the state of regularizers and the augmentation
    controller keep their initial values, as in the official code's transfer learning.

    Args:
      state: the initial state of the new run.
      path: a run folder or checkpoint, as training or `flaxgan import-pkl` writes it.

    Returns:
      (state with the loaded arrays, report).

    Raises:
      ValueError: if there is no checkpoint, or no parameter of it matches.
    """
    report = check_networks(state, path)
    found = _networks(store.read_all(store.locate(path)))
    flat = traverse_util.flatten_dict(serialization.to_state_dict(state), sep="/", keep_empty_nodes=True)
    for name in report.loaded:
        flat[name] = jax.device_put(np.asarray(found[name]), flat[name].sharding)
    return serialization.from_state_dict(state, traverse_util.unflatten_dict(flat, sep="/")), report


def check_networks(state: TrainState, path: epath.PathLike) -> Report:
    """Reports from shapes alone what `load_networks` would do.

    Args:
      state: a state of the new run, whose leaves may be ShapeDtypeStructs.
      path: see `load_networks`.

    Raises:
      ValueError: if there is no checkpoint, or no parameter of it matches.
    """
    try:
        folder = store.locate(path)
        found = _networks(store.read_shapes(folder))
    except ValueError as error:
        raise ValueError(f"config.init_from: {error}") from None
    report = _compare(_networks(serialization.to_state_dict(state)), found)
    if not any("/params/" in name for name in report.loaded):
        allowed = "a run in which at least one parameter has the name and shape of a parameter of this run"
        raise FieldError("config.init_from", Words(folder), allowed)
    return report


def _networks(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns the arrays of the networks by their paths, without optimizers and counters."""
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
