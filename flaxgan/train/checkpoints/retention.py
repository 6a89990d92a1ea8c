"""Which checkpoints stay on disk: the latest ones, one in every so many images, and the best by a measure."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from flaxgan.config import Config
from flaxgan.train.step import stage_plan

DIRECTIONS = {
    "agreement": "max",
    "confidence": "max",
    "class_balance": "max",
    "precision": "max",
    "recall": "max",
    "frechet": "min",
}
"""Whether larger or smaller is better, for values whose name says it all."""


class Best(NamedTuple):
    """The measured value by which one checkpoint is the best, and whether the largest or the smallest is."""

    name: str
    direction: str

    @classmethod
    def parse(cls, text: str, metrics: Sequence[str]) -> "Best":
        """The value that NAME, NAME:min or NAME:max stands for.

        Args:
          text: the field keep_best.
          metrics: the measures of the run, of which there has to be one.

        Raises:
          ValueError: if it stands for none.
        """
        name, _, direction = text.partition(":")
        direction = direction or DIRECTIONS.get(name, "")
        if not metrics:
            raise ValueError(f"config.keep_best: found {text!r}, allowed: '', because config.metrics measures nothing")
        if not name or direction not in ("min", "max"):
            known = ", ".join(DIRECTIONS)
            raise ValueError(f"config.keep_best: found {text!r}, allowed: {known}, or NAME:min or NAME:max")
        return cls(name, direction)


@dataclasses.dataclass(frozen=True)
class Retention:
    """The rule for what stays.

    Attributes:
      latest: how many of the latest checkpoints stay.
      every_images: of each stretch of so many images the first checkpoint stays; None keeps none for that.
      images_at: step -> images seen before it.
      best: the best checkpoint by this stays, or None.
    """

    latest: int
    every_images: int | None = None
    images_at: Callable[[int], int] = lambda step: step
    best: Best | None = None

    def kept(self, steps: Sequence[int], measured: Mapping[int, Mapping[str, float]]) -> set[int]:
        """The steps whose checkpoints stay.

        Args:
          steps: of all checkpoints, rising.
          measured: step -> the values measured there; a checkpoint without them is never the best.
        """
        kept = set(steps[-self.latest :])
        if self.every_images is not None:
            stretches = {self.images_at(step) // self.every_images: step for step in reversed(steps)}
            kept |= {step for stretch, step in stretches.items() if stretch > 0}
        if self.best is not None:
            kept |= self._best(steps, measured)
        return kept

    def check_measured(self, names: Iterable[str]) -> None:
        """Raises ValueError unless the value of the best is among those that are measured."""
        if self.best is not None and self.best.name not in names:
            found, allowed = self.best.name, ", ".join(names)
            raise ValueError(f"config.keep_best: found {found!r}, allowed: what config.metrics measure: {allowed}")

    def _best(self, steps: Sequence[int], measured: Mapping[int, Mapping[str, float]]) -> set[int]:
        """The best step; of equal ones the first."""
        values = {step: measured.get(step, {}).get(self.best.name, math.nan) for step in steps}
        finite = {step: value for step, value in values.items() if math.isfinite(value)}
        choose = min if self.best.direction == "min" else max
        return {choose(finite, key=finite.__getitem__)} if finite else set()


def of_config(config: Config, stages: Sequence[stage_plan.Stage]) -> Retention:
    """The rule of a run.

    Raises:
      ValueError: on a keep_best that no measure can give.
    """
    every = config.keep_every_kimg
    return Retention(
        latest=config.keep_checkpoints,
        every_images=None if every is None else max(1, round(every * 1000)),
        images_at=functools.partial(stage_plan.images_at, stages),
        best=Best.parse(config.keep_best, config.metrics) if config.keep_best else None,
    )


class Policy:
    """The rule in the form that Orbax asks."""

    def __init__(self, rule: Retention, measured: Mapping[int, Mapping[str, float]]):
        self._rule, self._measured = rule, measured

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """For each checkpoint, which has a `step`, whether it stays."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = self._rule.kept(sorted(steps), self._measured)
        return [step in kept for step in steps]
