"""Saved failures: steps that have computed a non-finite value, with the data to repeat and analyze them.

A failure is a folder in the run folder. It holds `checkpoints/`, the state before the failed phase as a regular
checkpoint; `batch.npz`, the batch of the phase (real images, their labels and flips) and the labels of its generated
images; and `failure.json`. All other random inputs are functions of the seed, the step and the phase.
"""

import dataclasses
import json
import re
from typing import Any

import jax
import numpy as np
from etils import epath

from flaxgan import safe_write
from flaxgan.data.pipeline.batching import Batch
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import multihost
from flaxgan.train.run import logs, run_folder
from flaxgan.train.step import phases
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

NAME = "failure.json"
"""File of a failure that is written last, so that a folder that has it is complete."""

STEP = re.compile("step_[0-9]+")
"""Name of the folder of a failure."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A failed phase of a step.

    Attributes:
      step: number of the step.
      phase: name of the phase.
      repeat: index of the repeat.
      problem: description of the non-finite values.
      seed: seed of the run.
      key: data of the random key of the phase.
      devices: description of the devices.
    """

    step: int
    phase: str
    repeat: int
    problem: str
    seed: int
    key: tuple[int, ...]
    devices: str


def write(folder: epath.Path, setup: TrainingSetup, state: TrainState, done: logs.PhaseRecord, batch: Batch) -> None:
    """Saves a failure and replaces an earlier one in the folder.

    Every process must call this. The first process writes.

    Args:
      folder: the folder of the failure.
      setup: the setup of the stage.
      state: the state before the phase.
      done: the phase.
      batch: the global batch of the phase, on the host.
    """
    phase = phases.by_name(setup, done.phase)
    key = phase.key(setup.config.seed, done.step, done.repeat)
    labels = jax.jit(lambda key: _labels(phase.draw(key)))(key)
    failure = Failure(
        step=done.step,
        phase=done.phase,
        repeat=done.repeat,
        problem=logs.problem(done.scalars),
        seed=setup.config.seed,
        key=tuple(np.asarray(jax.random.key_data(key)).tolist()),
        devices=describe_devices(),
    )
    if jax.process_index() == 0:
        if folder.exists():
            folder.rmtree()
        folder.mkdir(parents=True)
        with (folder / "batch.npz").open("wb") as file:
            arrays: dict[str, Any] = {**batch, "fake_labels": np.asarray(labels)}
            np.savez(file, **arrays)
    multihost.wait_for_all("failure")
    checkpoints = Checkpoints(folder / "checkpoints", keep=1)
    checkpoints.save(state, setup.config)
    checkpoints.close()
    if jax.process_index() == 0:
        safe_write.write_whole(folder / NAME, json.dumps(dataclasses.asdict(failure), indent=2) + "\n")


def _labels(inputs: PhaseInputs) -> jax.Array:
    """Returns the labels of a phase's generated images."""
    if inputs.latents is None:
        raise ValueError("inputs.latents: found None, allowed: the latents of generated images")
    return inputs.latents.labels


def describe_devices() -> str:
    """Describes the devices of this program."""
    return f"{jax.device_count()} {jax.default_backend()}"


def locate(path: epath.PathLike) -> epath.Path:
    """Returns the folder of a failure.

    Args:
      path: the folder of a failure, or a run folder, which stands for its latest failure.

    Raises:
      ValueError: if there is no failure.
    """
    path = epath.Path(path)
    if (path / NAME).exists():
        return path
    found = [child.parent for child in run_folder.RunFolder(path).failures.glob(f"step_*/{NAME}")]
    steps = {int(child.name.removeprefix("step_")): child for child in found if STEP.fullmatch(child.name)}
    if not steps:
        allowed = "a run with a non-finite value, or a folder in its failures/"
        raise ValueError(f"{path}: holds no failure; allowed: {allowed}")
    return steps[max(steps)]


def _check(failure: Failure) -> None:
    """Raises a TypeError if the type of a field is wrong, as in a damaged file."""
    counts = (failure.step, failure.repeat, failure.seed, *failure.key)
    texts = (failure.phase, failure.problem, failure.devices)
    if not all(type(count) is int for count in counts) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a field is not of its type")


def read(folder: epath.Path) -> tuple[Failure, Batch, np.ndarray]:
    """Reads a failure.

    Args:
      folder: the folder of the failure.

    Returns:
      (failure, batch of its phase, labels of its generated images).

    Raises:
      ValueError: if a file is damaged; the message names it.
    """
    try:
        values = json.loads((folder / NAME).read_text())
        failure = Failure(**{**values, "key": tuple(values["key"])})
        _check(failure)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{folder / NAME}: damaged: {error}") from error
    try:
        with (folder / "batch.npz").open("rb") as file, np.load(file) as arrays:
            batch = {name: arrays[name] for name in ("images", "labels")}
            # Older versions kept images that were flipped already.
            batch["flip"] = arrays["flip"] if "flip" in arrays else np.zeros(len(batch["images"]), bool)
            return failure, batch, arrays["fake_labels"]
    except Exception as error:  # A damaged archive raises any exception.
        raise ValueError(f"{folder / 'batch.npz'}: damaged: {error}") from error
