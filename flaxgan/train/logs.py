"""What a run says while it works: the progress line, log.jsonl, and TensorBoard events."""

import datetime
import resource
import sys
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter

from flaxgan.config import Config
from flaxgan.train import run_folder


def say(text: str) -> None:
    """Prints one line at once, on the first host only."""
    if jax.process_index() == 0:
        print(text, flush=True)


class NonFiniteError(FloatingPointError):
    """A loss or statistic that is not a finite number."""


def tick_means(history: list[tuple[int, str, dict[str, jax.Array]]]) -> dict[str, float]:
    """Mean of each scalar over the steps since the last tick: "g_main/loss" -> value.

    Args:
      history: (step, phase, scalars still on the device).

    Raises:
      NonFiniteError: naming the first step and phase with a value that is not finite.
    """
    values: dict[str, list[float]] = {}
    for step, phase, scalars in jax.device_get(history):
        for name, value in scalars.items():
            if not np.all(np.isfinite(value)):
                raise NonFiniteError(f"step {step}, phase {phase}: {name} is {float(np.mean(value))}")
            values.setdefault(f"{phase}/{name}", []).append(float(np.mean(value)))
    return {name: float(np.mean(found)) for name, found in values.items()}


class Logs:
    """The logs of one run; hosts other than the first write nothing."""

    def __init__(self, folder: run_folder.RunFolder, config: Config, step: int):
        """Opens the logs to continue after `step`; lines of later steps, lost by an interruption, are removed."""
        self._folder, self._config = folder, config
        self._writes = jax.process_index() == 0
        if self._writes:
            for path in (folder.log, folder.metrics):
                run_folder.drop_after(path, step or -1)  # A run that starts again measures step 0 again.
            self._events = SummaryWriter(str(folder.root), purge_step=step + 1 if step else None)

    def tick(self, record: dict[str, Any]) -> None:
        """Prints the progress line and writes the record of a tick."""
        say(progress_line(record, self._config))
        if self._writes:
            run_folder.append(self._folder.log, record)
            for name, value in {**record["losses"], **record["statistics"]}.items():
                self._events.add_scalar(f"train/{name}", value, record["step"])
            self._events.add_scalar("train/sec_per_kimg", record["sec_per_kimg"], record["step"])
            self._events.flush()

    def measured(self, record: dict[str, Any]) -> None:
        """Prints and writes the measures of a snapshot."""
        values = {name: value for name, value in record.items() if isinstance(value, float) and name != "kimg"}
        say("  measured: " + "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
        if self._writes:
            run_folder.append(self._folder.metrics, record)
            for name, value in values.items():
                self._events.add_scalar(f"metrics/{name}", value, record["step"])

    def grid(self, name: str, picture: np.ndarray, step: int) -> None:
        """Shows a grid [H, W, C] in TensorBoard."""
        if self._writes:
            self._events.add_image(name, picture, step, dataformats="HWC")

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
