"""What is kept of a step that made a number that is not finite, so that it can be done again and looked into.

A failure is a folder of a run: `checkpoints/`, the state before the phase as a checkpoint like any other; `batch.npz`,
the batch of the phase (real images, their labels and flips) and the labels of its generated images; and `failure.json`.
All other draws follow from the seed, the step and the phase.
"""

import dataclasses
import json
import re

import jax
import numpy as np
from etils import epath

from flaxgan import safe_write
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import multihost
from flaxgan.train.run import logs, run_folder
from flaxgan.train.step import phases
from flaxgan.train.step.phases import Batch
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

NAME = "failure.json"

STEP = re.compile("step_[0-9]+")


@dataclasses.dataclass(frozen=True)
class Failure:
    """A step that failed.

    Attributes:
      step: of the run.
      phase: its name.
      repeat: which of the phase's repeats.
      problem: what was found not to be finite.
      seed: of the run.
      key: the data of the key that the phase drew from.
      devices: what the run was on.
    """

    step: int
    phase: str
    repeat: int
    problem: str
    seed: int
    key: tuple[int, ...]
    devices: str


def write(folder: epath.Path, setup: TrainingSetup, state: TrainState, done: logs.PhaseRecord, batch: Batch) -> None:
    """Keeps a failure; one that was kept in the folder before is replaced.

    Every process of a run calls this, and the first writes.

    Args:
      folder: of this failure.
      setup: of the stage.
      state: before the phase.
      done: the phase.
      batch: its whole global batch, on the host.
    """
    phase = phases.by_name(setup, done.phase)
    key = phase.key(setup.config.seed, done.step, done.repeat)
    labels = jax.jit(lambda key: phase.draw(key).latents.labels)(key)
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
            np.savez(file, **batch, fake_labels=np.asarray(labels))
    multihost.wait_for_all("failure")
    checkpoints = Checkpoints(folder / "checkpoints", keep=1)
    checkpoints.save(state, setup.config)
    checkpoints.close()
    if jax.process_index() == 0:  # Last, so that a folder with this file is complete.
        safe_write.write_whole(folder / NAME, json.dumps(dataclasses.asdict(failure), indent=2) + "\n")


def describe_devices() -> str:
    """The devices that this program runs on."""
    return f"{jax.device_count()} {jax.default_backend()}"


def locate(path: epath.PathLike) -> epath.Path:
    """The folder of a failure that a run folder (its latest one) or the folder itself stands for.

    Raises:
      ValueError: if there is none.
    """
    path = epath.Path(path)
    if (path / NAME).exists():
        return path
    found = [child.parent for child in run_folder.RunFolder(path).failures.glob(f"step_*/{NAME}")]
    steps = {int(child.name.removeprefix("step_")): child for child in found if STEP.fullmatch(child.name)}
    if not steps:
        allowed = "a run in which a number was not finite, or a folder in its failures/"
        raise ValueError(f"{path}: holds no failure; allowed: {allowed}")
    return steps[max(steps)]


def _check(failure: Failure) -> None:
    """Raises TypeError unless each field is of its type; files hold anything."""
    counts = (failure.step, failure.repeat, failure.seed, *failure.key)
    texts = (failure.phase, failure.problem, failure.devices)
    if not all(type(count) is int for count in counts) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a field is not of its type")


def read(folder: epath.Path) -> tuple[Failure, Batch, np.ndarray]:
    """A failure, the batch of its phase, and the labels of the images that it generated.

    Raises:
      ValueError: naming the file, if one is damaged.
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
    except Exception as error:  # damaged archives raise anything
        raise ValueError(f"{folder / 'batch.npz'}: damaged: {error}") from error
