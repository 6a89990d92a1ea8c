"""Trained networks from a run folder, for tools and for other people's code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax.numpy as jnp
from etils import epath
from jax import tree

from flaxgan.config import Config
from flaxgan.train.checkpoints import store
from flaxgan.train.step import binding, stage_plan
from flaxgan.train.step.state import Average
from flaxgan.types import Gan


class Trained(NamedTuple):
    """The networks of a run, the moving average of its generator, and its config.

    `stage` and `alpha` say how far a growing network has grown, the keywords of its call; stage is None for others.
    """

    gan: Gan
    average: Average
    config: Config
    stage: int | None = None
    alpha: float = 1.0

    @property
    def variables(self) -> dict:
        """What `gan.generator.apply` takes first."""
        return {"params": self.average.params, **self.average.variables}


def load(path: epath.PathLike) -> Trained:
    """Loads the generator of a run.

    Args:
      path: a run folder (its latest checkpoint) or one checkpoint in it.

    Raises:
      ValueError: if there is no checkpoint.
    """
    folder = store.locate(path)
    config = store.read_config(folder)
    with naming_config(folder):
        gan = binding.build_gan(config, image_shape(config))
    arrays = store.read_average(folder)
    average = Average(*(tree.map(jnp.asarray, arrays[name]) for name in ("params", "variables")))
    step = int(folder.name) if folder.name.isdigit() else 0
    stages = stage_plan.stages(config, gan)
    # A checkpoint at the border of two stages was made by the first of them.
    stage = stages[stage_plan.number_at(stages, max(step - 1, 0))]
    return Trained(gan, average, config, stage.network_stage, float(stage.alpha(stage.images_at(step))))


@contextmanager
def naming_config(folder: epath.Path) -> Iterator[None]:
    """Names the config of a checkpoint in an error about what is in it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{folder / 'config'}: {error}") from error


def image_shape(config: Config) -> tuple[int, int, int]:
    """(H, W, C) of the images of a run, from the config that it has written.

    Raises:
      ValueError: if it does not say.
    """
    if config.data.resolution_px is None:
        raise ValueError("config.data.resolution: found None, allowed in a run: the size of its images")
    return (*config.data.resolution_px, config.data.channels)


def load_discriminator(path: epath.PathLike) -> dict:
    """What `gan.discriminator.apply` takes first, of the same runs and checkpoints as `load`.

    Raises:
      ValueError: if there is no checkpoint.
    """
    found = store.read_all(store.locate(path))["d"]
    # An empty mapping is not in a checkpoint.
    return tree.map(jnp.asarray, {"params": found["params"], **found.get("variables", {})})
