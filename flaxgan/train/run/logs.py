"""Logs of a run: the progress line, log.jsonl, metrics.jsonl, and TensorBoard events."""

import datetime
import resource
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from flaxgan.train.run import run_folder
from flaxgan.train.run.tensorboard import Events


def say(text: str) -> None:
    """Prints a line immediately, on the first host only."""
    if jax.process_index() == 0:
        print(text, flush=True)


class PhaseRecord(NamedTuple):
    """A phase that has been dispatched, with its results, which may still be computed.

    Attributes:
      step: number of the step.
      phase: name of the phase.
      repeat: index of the repeat.
      scalars: named values, one for each round.
      all_finite: whether all values up to this phase were finite, bool [].
    """

    step: int
    phase: str
    repeat: int
    scalars: Mapping[str, jax.Array | np.ndarray]
    all_finite: jax.Array | np.bool_


class NonFiniteError(FloatingPointError):
    """Raised when a phase has computed a non-finite value.

    Attributes:
      done: the phase.
    """

    def __init__(self, done: PhaseRecord, more: str = "") -> None:
        self.done = done
        super().__init__(f"step {done.step}, phase {done.phase}: {problem(done.scalars)}{more}")


def tick_means(history: list[PhaseRecord]) -> dict[str, float]:
    """Computes the mean of each scalar over the steps since the last tick.

    Args:
      history: the phases in their order.

    Returns:
      Means by the name of the phase and the scalar, "g_main/loss".

    Raises:
      NonFiniteError: if a value is non-finite; names the first such step and phase.
    """
    values: dict[str, list[float]] = {}
    for done in jax.device_get(history):
        if not done.all_finite:
            raise NonFiniteError(done)
        for name, value in done.scalars.items():
            values.setdefault(f"{done.phase}/{name}", []).append(float(np.mean(value)))
    return {name: float(np.mean(found)) for name, found in values.items()}


def problem(scalars: Mapping[str, jax.Array | np.ndarray]) -> str:
    """Describes the non-finite values among the scalars of a phase."""
    found = {name: float(np.mean(value)) for name, value in scalars.items() if not np.all(np.isfinite(value))}
    if not found:
        return "the state after it is non-finite"
    losses_first = sorted(found, key=lambda name: not name.endswith("loss"))
    return ", ".join(f"{name.replace('_', ' ')} is {found[name]}" for name in losses_first)


class Logs:
    """The logs of one run. Only the first host writes them."""

    def __init__(self, folder: run_folder.RunFolder, step: int, *, total_kimg: float, augments: bool) -> None:
        """Opens the logs to continue after a step. Lines of later steps, which an interruption has lost, are removed.

        Args:
          folder: the run folder.
          step: number of steps done.
          total_kimg: length of the run in thousands of images.
          augments: whether the progress line shows the probability of augmentation.
        """
        self._folder, self._total_kimg, self._augments = folder, total_kimg, augments
        self._writes = jax.process_index() == 0
        if self._writes:
            for path in (folder.log, folder.metrics):
                run_folder.drop_after(path, step or -1)  # A run that restarts at step 0 measures step 0 again.
            run_folder.require_appendable(folder.log)
            self._events = Events(folder.root, step=step + 1 if step else 0)

    def tick(self, record: dict[str, Any]) -> None:
        """Prints the progress line and writes the record of a tick."""
        say(progress_line(record, total_kimg=self._total_kimg, augments=self._augments))
        if self._writes:
            run_folder.append(self._folder.log, record)
            for name, value in {**record["losses"], **record["statistics"]}.items():
                self._events.scalar(f"train/{name}", value, record["step"])
            self._events.scalar("train/sec_per_kimg", record["sec_per_kimg"], record["step"])
            self._events.flush()

    def measured(self, record: dict[str, Any]) -> None:
        """Prints and writes the metrics of a snapshot."""
        values = {name: value for name, value in record.items() if isinstance(value, float) and name != "kimg"}
        say("  measured: " + "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
        if self._writes:
            run_folder.append(self._folder.metrics, record)
            for name, value in values.items():
                self._events.scalar(f"metrics/{name}", value, record["step"])

    def grid(self, name: str, picture: np.ndarray, step: int) -> None:
        """Writes a grid [H, W, C] for TensorBoard."""
        if self._writes:
            self._events.image(name, picture, step)

    def close(self) -> None:
        """Flushes the event file."""
        if self._writes:
            self._events.close()


def progress_line(record: dict[str, Any], *, total_kimg: float, augments: bool) -> str:
    """Formats the record of a tick as one line of text; see `Logs` for the arguments."""
    losses = "  ".join(f"{name} {value:.4g}" for name, value in record["losses"].items())
    adapted = f"  augment p {record['statistics']['augment_p']:.3f}" if augments else ""
    return (
        f"step {record['step']:<7d} kimg {record['kimg']:.1f}/{total_kimg:g}  "
        f"{record['sec_per_kimg']:.2f} sec/kimg  ETA {eta(record, total_kimg)}  {losses}{adapted}  "
        f"mem {record['memory_gib']:.2f} GiB  data wait {100 * record['data_wait_share']:.0f}%"
    )


def eta(record: dict[str, Any], total_kimg: float) -> str:
    """Estimates the time to the end of the run at this tick's speed: [days,] hours:minutes:seconds."""
    seconds = max(0.0, total_kimg - record["kimg"]) * record["sec_per_kimg"]
    return str(datetime.timedelta(seconds=round(seconds)))


def memory_gib() -> float:
    """Returns in GiB the largest peak memory of the local devices, or of this process if devices do not report it."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peak = max(stat.get("peak_bytes_in_use", 0) for stat in stats)
    if not peak:
        scale = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return peak / 2**30
