"""Moving average of the generator."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from flaxgan.config import EmaConfig
from flaxgan.train.step.state import Average, NetworkState, TrainState

AVERAGED = ("batch_stats",)
"""Collections that are always averaged like the parameters that they belong to; the others are copied."""

SPECTRAL = "spectral"
"""The collection of the vectors of spectral normalization, which `EmaConfig.average_spectral` is about."""


def step(config: EmaConfig, state: TrainState, num_images: int) -> TrainState:
    """Returns the state with the average updated for a step.

    Args:
      config: the moving average's settings.
      state: the state, with the number of images seen before the step.
      num_images: images of the step.
    """
    beta = ema_beta(config, state.images_seen, num_images)
    averaged = (*AVERAGED, SPECTRAL) if config.average_spectral else AVERAGED
    return state.replace(ema=update(state.ema, state.g, beta, averaged))


def ema_beta(config: EmaConfig, images_seen: jax.Array, batch_size: int) -> jax.Array:
    """Computes the share of the old average that one step keeps: `decay`, or 0.5 ** (batch / half-life in images).

    Args:
      config: decay or half-life, ramp-up and start. While it is shorter, the half-life is `rampup` times the images
        seen, so that early averages forget the random initialization; the first beta is then 0. Until `start_kimg` it
        is 0: the average is a copy.
      images_seen: images before this step, int [].
      batch_size: images of this step.

    References:
      the half-life is that of Karras et al. 2020a (StyleGAN2-ADA), training loop of the official code; decay
      and start are those of Brock et al. 2019 (BigGAN), appendix C.
    """
    images_seen = jnp.asarray(images_seen, float)
    if config.decay is not None:
        beta = jnp.full((), config.decay, images_seen.dtype)
    else:
        half_life = jnp.asarray(config.half_life_kimg * 1000, float)
        if config.rampup is not None:
            half_life = jnp.minimum(half_life, images_seen * config.rampup)
        beta = 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8))
    return jnp.where(images_seen < round(config.start_kimg * 1000), 0, beta) if config.start_kimg else beta


def update(average: Average, generator: NetworkState, beta: jax.Array, averaged: Sequence[str] = AVERAGED) -> Average:
    """Returns the average after one step, of the parameters and of some collections; other variables are copied."""
    mix = lambda old, new: jax.tree.map(lambda old, new: new + (old - new) * beta, old, new)
    variables = {
        name: mix(average.variables[name], new) if name in averaged else new
        for name, new in generator.variables.items()
    }
    return Average(mix(average.params, generator.params), variables)
