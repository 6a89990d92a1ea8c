"""Retention of checkpoints: the latest ones, one per interval of training images, and the best by a metric."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from flaxgan.config import Config
from flaxgan.errors import FieldError
from flaxgan.train.step import stage_plan

DIRECTIONS = {
    "agreement": "max",
    "confidence": "max",
    "class_balance": "max",
    "precision": "max",
    "recall": "max",
    "frechet": "min",
}
"""Direction of improvement for the values of this project's metrics."""


class Best(NamedTuple):
    """The metric by which the best checkpoint is chosen.

    Attributes:
      name: name of the measured value.
      direction: "max" if the largest value is the best, "min" if the smallest is.
    """

    name: str
    direction: str

    @classmethod
    def parse(cls, text: str, metrics: Sequence[str]) -> "Best":
        """Parses NAME, NAME:min or NAME:max.

        Args:
          text: the field config.keep_best.
          metrics: the field config.metrics, which must not be empty.

        Raises:
          FieldError: if the text has another form, or the direction is neither given nor known.
        """
        name, _, direction = text.partition(":")
        direction = direction or DIRECTIONS.get(name, "")
        if not metrics:
            raise FieldError("config.keep_best", text, "'', because config.metrics measures nothing")
        if not name or direction not in ("min", "max"):
            known = ", ".join(DIRECTIONS)
            raise FieldError("config.keep_best", text, f"{known}, or NAME:min or NAME:max")
        return cls(name, direction)


@dataclasses.dataclass(frozen=True)
class Retention:
    """A retention policy.

    Attributes:
      latest: number of latest checkpoints to keep.
      every_images: the first checkpoint of each interval of this many training images is kept, too; None keeps none.
      images_at: step -> images seen before it.
      best: the best checkpoint by this metric is kept, too; None keeps none.
    """

    latest: int
    every_images: int | None = None
    images_at: Callable[[int], int] = lambda step: step
    best: Best | None = None

    def kept(self, steps: Sequence[int], measured: Mapping[int, Mapping[str, float]]) -> set[int]:
        """Returns the steps whose checkpoints are kept.

        Args:
          steps: steps of all checkpoints in ascending order.
          measured: step -> the values measured there. A checkpoint without values is never the best.
        """
        kept = set(steps[-self.latest :])
        if self.every_images is not None:
            intervals = {self.images_at(step) // self.every_images: step for step in reversed(steps)}
            kept |= {step for interval, step in intervals.items() if interval > 0}
        if self.best is not None:
            kept |= _best_step(self.best, steps, measured)
        return kept

    def check_measured(self, names: Iterable[str]) -> None:
        """Checks that the metric of the best checkpoint is measured.

        Args:
          names: names of the measured values.

        Raises:
          FieldError: if it is not among them.
        """
        if self.best is not None and self.best.name not in names:
            allowed = f"what config.metrics measure: {', '.join(names)}"
            raise FieldError("config.keep_best", self.best.name, allowed)


def _best_step(best: Best, steps: Sequence[int], measured: Mapping[int, Mapping[str, float]]) -> set[int]:
    """Returns the best step, the first of equal ones, or no step if no value is finite."""
    values = {step: measured.get(step, {}).get(best.name, math.nan) for step in steps}
    finite = {step: value for step, value in values.items() if math.isfinite(value)}
    choose = min if best.direction == "min" else max
    return {choose(finite, key=finite.__getitem__)} if finite else set()


def from_config(config: Config, stages: Sequence[stage_plan.Stage]) -> Retention:
    """Builds the retention policy of a run.

    Args:
      config: the completed config.
      stages: stages of the run.

    Raises:
      FieldError: if config.keep_best is malformed, or the run has no metrics for it.
    """
    every = config.keep_every_kimg
    return Retention(
        latest=config.keep_checkpoints,
        every_images=None if every is None else max(1, round(every * 1000)),
        images_at=functools.partial(stage_plan.images_at, stages),
        best=Best.parse(config.keep_best, config.metrics) if config.keep_best else None,
    )


class OrbaxPolicy:
    """Adapts a `Retention` to the interface of Orbax."""

    def __init__(self, retention: Retention, measured: Mapping[int, Mapping[str, float]]) -> None:
        self._retention, self._measured = retention, measured

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Returns for each checkpoint, which has a `step`, whether it is kept."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = self._retention.kept(sorted(steps), self._measured)
        return [step in kept for step in steps]
