"""Loading of trained networks from a run folder, for command-line tools and other programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax.numpy as jnp
from etils import epath
from jax import tree

from flaxgan.config import Config
from flaxgan.errors import FieldError
from flaxgan.latent_prior import LatentPrior
from flaxgan.train.checkpoints import store
from flaxgan.train.step import binding, stage_plan
from flaxgan.train.step.state import Average
from flaxgan.types import Gan


class Trained(NamedTuple):
    """The networks of a run, the moving average of its generator, and its config.

    `stage` and `alpha` are keywords for the call of a growing network and give its progress; `stage` is None for other
    networks.
    """

    gan: Gan
    average: Average
    config: Config
    stage: int | None = None
    alpha: float = 1.0

    @property
    def prior(self) -> LatentPrior:
        """The distribution of the latents z."""
        return binding.bind_prior(self.config.latent)

    @property
    def variables(self) -> dict:
        """The variables of the generator, the first argument of `gan.generator.apply`."""
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
    # A checkpoint at the boundary of two stages belongs to the first of them.
    stage = stages[stage_plan.number_at(stages, max(step - 1, 0))]
    return Trained(gan, average, config, stage.network_stage, float(stage.alpha(stage.images_at(step))))


@contextmanager
def naming_config(folder: epath.Path) -> Iterator[None]:
    """Adds the path of a checkpoint's config to the message of a ValueError about its content."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{folder / 'config'}: {error}") from error


def image_shape(config: Config) -> tuple[int, int, int]:
    """Returns (H, W, C) of a run's images, from the config that the run has saved.

    Raises:
      FieldError: if the config has no resolution.
    """
    if config.data.resolution_px is None:
        raise FieldError("config.data.resolution", None, "the size of the images, which the config of a run holds")
    return (*config.data.resolution_px, config.data.channels)


def load_discriminator(path: epath.PathLike) -> dict:
    """Loads the variables of the discriminator, the first argument of `gan.discriminator.apply`.

    Args:
      path: a run folder (its latest checkpoint) or one checkpoint in it.

    Raises:
      ValueError: if there is no checkpoint.
    """
    found = store.read_all(store.locate(path))["d"]
    # A checkpoint does not hold empty mappings.
    return tree.map(jnp.asarray, {"params": found["params"], **found.get("variables", {})})
