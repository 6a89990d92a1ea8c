"""What a run says while it works: the progress line, log.jsonl, and TensorBoard events."""

import datetime
import resource
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

from flaxgan.config import Config
from flaxgan.train.run import run_folder
from flaxgan.train.run.tensorboard import Events


def say(text: str) -> None:
    """Prints one line at once, on the first host only."""
    if jax.process_index() == 0:
        print(text, flush=True)


class PhaseRecord(NamedTuple):
    """A phase that has been started, with what it will have said; that is still on the device.

    Attributes:
      step: of the run.
      phase: its name.
      repeat: which of its repeats.
      scalars: named values, one a round.
      all_finite: whether everything was finite up to here, bool [].
    """

    step: int
    phase: str
    repeat: int
    scalars: dict[str, jax.Array]
    all_finite: jax.Array


class NonFiniteError(FloatingPointError):
    """A number that is not finite, made by a phase of a step.

    Attributes:
      done: the phase.
    """

    def __init__(self, done: PhaseRecord, more: str = ""):
        self.done = done
        super().__init__(f"step {done.step}, phase {done.phase}: {problem(done.scalars)}{more}")


def tick_means(history: list[PhaseRecord]) -> dict[str, float]:
    """Mean of each scalar over the steps since the last tick: "g_main/loss" -> value.

    Args:
      history: the phases in their order.

    Raises:
      NonFiniteError: naming the first step and phase that made a number that is not finite.
    """
    values: dict[str, list[float]] = {}
    for done in jax.device_get(history):
        if not done.all_finite:
            raise NonFiniteError(done)
        for name, value in done.scalars.items():
            values.setdefault(f"{done.phase}/{name}", []).append(float(np.mean(value)))
    return {name: float(np.mean(found)) for name, found in values.items()}


def problem(scalars: dict[str, np.ndarray]) -> str:
    """Which of a phase's values are not finite."""
    found = {name: float(np.mean(value)) for name, value in scalars.items() if not np.all(np.isfinite(value))}
    if not found:
        return "the state after it is not finite"
    losses_first = sorted(found, key=lambda name: not name.endswith("loss"))
    return ", ".join(f"{name.replace('_', ' ')} is {found[name]}" for name in losses_first)


class Logs:
    """The logs of one run; hosts other than the first write nothing."""

    def __init__(self, folder: run_folder.RunFolder, config: Config, step: int):
        """Opens the logs to continue after `step`; lines of later steps, lost by an interruption, are removed."""
        self._folder, self._config = folder, config
        self._writes = jax.process_index() == 0
        if self._writes:
            for path in (folder.log, folder.metrics):
                run_folder.drop_after(path, step or -1)  # A run that starts again measures step 0 again.
            run_folder.require_appendable(folder.log)
            self._events = Events(folder.root, step=step + 1 if step else 0)

    def tick(self, record: dict[str, Any]) -> None:
        """Prints the progress line and writes the record of a tick."""
        say(progress_line(record, self._config))
        if self._writes:
            run_folder.append(self._folder.log, record)
            for name, value in {**record["losses"], **record["statistics"]}.items():
                self._events.scalar(f"train/{name}", value, record["step"])
            self._events.scalar("train/sec_per_kimg", record["sec_per_kimg"], record["step"])
            self._events.flush()

    def measured(self, record: dict[str, Any]) -> None:
        """Prints and writes the measures of a snapshot."""
        values = {name: value for name, value in record.items() if isinstance(value, float) and name != "kimg"}
        say("  measured: " + "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
        if self._writes:
            run_folder.append(self._folder.metrics, record)
            for name, value in values.items():
                self._events.scalar(f"metrics/{name}", value, record["step"])

    def grid(self, name: str, picture: np.ndarray, step: int) -> None:
        """Shows a grid [H, W, C] in TensorBoard."""
        if self._writes:
            self._events.image(name, picture, step)

    def close(self) -> None:
        """Flushes the event file."""
        if self._writes:
            self._events.close()


def progress_line(record: dict[str, Any], config: Config) -> str:
    """One tick for a person to read."""
    losses = "  ".join(f"{name} {value:.4g}" for name, value in record["losses"].items())
    adapted = f"  augment p {record['statistics']['augment_p']:.3f}" if config.augment.policy != "off" else ""
    return (
        f"step {record['step']:<7d} kimg {record['kimg']:.1f}/{config.total_kimg:g}  "
        f"{record['sec_per_kimg']:.2f} sec/kimg  ETA {eta(record, config)}  {losses}{adapted}  "
        f"mem {record['memory_gib']:.2f} GiB  data wait {100 * record['data_wait_share']:.0f}%"
    )


def eta(record: dict[str, Any], config: Config) -> str:
    """Time to the end of the run at this tick's speed, as [days,] hours:minutes:seconds."""
    seconds = max(0.0, config.total_kimg - record["kimg"]) * record["sec_per_kimg"]
    return str(datetime.timedelta(seconds=round(seconds)))


def memory_gib() -> float:
    """Peak memory of the fullest local device, or of this process where devices do not tell (CPU), in GiB."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peak = max(stat.get("peak_bytes_in_use", 0) for stat in stats)
    if not peak:
        scale = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return peak / 2**30
