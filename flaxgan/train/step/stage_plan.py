"""The stages of a run, one for each image size that is trained, and the position of a step in them.

A run without progressive growing has one stage. Everything here is a pure function of the config and of counters that
the train state holds, so that a run resumes in the middle of a fade.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.config import Config
from flaxgan.errors import FieldError
from flaxgan.types import Gan


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stretch of training at one image size. Its values are static in compiled programs.

    Attributes:
      network_stage: the networks' index of it, or None for networks that do not grow.
      image_shape: (H, W, C) of its images.
      batch_size: images of one update of the discriminator.
      learning_rate: of both optimizers, or None for their own.
      images_per_step: images that the discriminator sees in a step.
      first_step: steps before it.
      num_steps: its length.
      first_image: images seen before it.
      fade_images: images over which it is blended in; 0 is at once.
    """

    network_stage: int | None
    image_shape: tuple[int, int, int]
    batch_size: int
    learning_rate: float | None
    images_per_step: int
    first_step: int
    num_steps: int
    first_image: int
    fade_images: int

    @property
    def end_step(self) -> int:
        """The first step after it."""
        return self.first_step + self.num_steps

    @property
    def faded_step(self) -> int:
        """The first step in which the newest block counts in full; it may lie after the stage's end."""
        return self.first_step + -(-self.fade_images // self.images_per_step)

    def restarts_at(self, step: int) -> bool:
        """Returns whether both optimizers restart before a step of the stage: at its start, and where its fade ends.

        References:
          the official codes of PGGAN and StyleGAN, which reset both optimizers when the floor or the ceiling of the
          level of detail changes.
        """
        return step > 0 and step in (self.first_step, self.faded_step)

    def images_at(self, step: int) -> int:
        """Returns the number of images seen before a step."""
        return self.first_image + (step - self.first_step) * self.images_per_step

    def alpha(self, images_seen: jax.Array | int) -> jax.Array:
        """Returns the share of the newest block, from 0 to 1 over the fade; the number of images may be traced."""
        if not self.fade_images:
            return jnp.ones(())
        return jnp.clip((jnp.asarray(images_seen) - self.first_image) / self.fade_images, 0, 1)

    def arguments(self, images_seen: jax.Array | int) -> dict[str, Any]:
        """Returns the keywords of growing networks; none for others."""
        if self.network_stage is None:
            return {}
        return {"stage": self.network_stage, "alpha": self.alpha(images_seen)}


def stages(config: Config, gan: Gan) -> tuple[Stage, ...]:
    """Plans the stages of a run, in their order.

    The first is trained for stabilize_kimg; each further one is blended in over fade_kimg and then trained for
    stabilize_kimg; the last goes on until total_kimg. A stage takes whole steps, and stages that total_kimg leaves no
    images for are left out.

    Raises:
      FieldError: if the network cannot grow like this.

    References:
      Karras et al. 2018 (PGGAN), section 2 and appendix A.
    """
    first = _first_stage(config, gan)
    sizes = gan.stages[first:] or (gan.image_shape[:2],)
    batch_sizes = _each("batch_sizes", config.growth.batch_sizes, config.batch_size, len(sizes))
    rates = _each("learning_rates", config.growth.learning_rates, None, len(sizes))
    total = round(config.total_kimg * 1000)
    ends = [*_planned_ends(config, len(sizes) - 1), total]
    planned: list[Stage] = []
    for number, (size, batch_size, rate, end) in enumerate(zip(sizes, batch_sizes, rates, ends)):
        step, image = (planned[-1].end_step, planned[-1].images_at(planned[-1].end_step)) if planned else (0, 0)
        if planned and image >= total:
            break
        per_step = batch_size * config.d_steps
        stage = Stage(
            network_stage=first + number if gan.stages else None,
            image_shape=(*size, gan.image_shape[2]),
            batch_size=batch_size,
            learning_rate=rate,
            images_per_step=per_step,
            first_step=step,
            num_steps=max(1, -(-(min(end, total) - image) // per_step)),
            first_image=image,
            fade_images=round(config.growth.fade_kimg * 1000) if number else 0,
        )
        planned.append(stage)
    return tuple(planned)


def number_at(planned: Sequence[Stage], step: int) -> int:
    """Returns the number of the stage that a step belongs to; the last one after the run's end."""
    return next((n for n, stage in enumerate(planned) if step < stage.end_step), len(planned) - 1)


def images_at(planned: Sequence[Stage], step: int) -> int:
    """Returns the number of images seen before a step. A step at the border of two stages ends the first of them."""
    return planned[number_at(planned, max(step - 1, 0))].images_at(step)


def total_steps(planned: Sequence[Stage]) -> int:
    """Returns the number of steps of the whole run."""
    return planned[-1].end_step


def is_due(stage: Stage, step: int, every_kimg: float) -> bool:
    """Returns whether the step before this one, which belongs to the stage, reached a multiple of `every_kimg`."""
    every = max(1, round(every_kimg * 1000))
    return stage.images_at(step) // every > stage.images_at(step - 1) // every


def _planned_ends(config: Config, count: int) -> list[int]:
    """Returns the number of images after which each stage but the last ends."""
    growth = config.growth
    each = growth.fade_kimg + growth.stabilize_kimg
    return [round(1000 * (growth.stabilize_kimg + number * each)) for number in range(count)]


def _first_stage(config: Config, gan: Gan) -> int:
    """Returns the networks' index of the first stage."""
    start, name = config.growth.start_px, config.network["name"]
    if start is None:
        if config.growth.batch_sizes or config.growth.learning_rates:
            found = config.growth.batch_sizes or config.growth.learning_rates
            field = "batch_sizes" if config.growth.batch_sizes else "learning_rates"
            raise FieldError(f"config.growth.{field}", found, "(), because growth.start_px is None")
        return max(0, len(gan.stages) - 1)
    if not gan.stages:
        allowed = f"None, because network {name!r} has no stages to grow through"
        raise FieldError("config.growth.start_px", start, allowed)
    if config.g_batch_size is not None:
        raise FieldError("config.g_batch_size", config.g_batch_size, "None, because growth.start_px is given")
    sides = [min(size) for size in gan.stages]
    if start not in sides:
        allowed = ", ".join(map(str, sides))
        raise FieldError("config.growth.start_px", start, f"{allowed}, the stages of network {name!r}")
    return sides.index(start)


def _each(field: str, values: tuple, default: Any, count: int) -> tuple:
    """Returns one value for each stage."""
    if values and len(values) != count:
        allowed = f"() or {count} values, one for each stage"
        raise FieldError(f"config.growth.{field}", values, allowed)
    return values or tuple(itertools.repeat(default, count))
