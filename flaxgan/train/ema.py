"""Moving average of the generator."""

import jax
import jax.numpy as jnp

from flaxgan.config import EmaConfig
from flaxgan.train.state import Average, NetworkState


def ema_beta(config: EmaConfig, images_seen: jax.Array, batch_size: int) -> jax.Array:
    """Share of the old average that is kept in one step, 0.5 ** (batch / half-life in images).

    Args:
      config: half-life and ramp-up. While it is shorter, the half-life is `rampup` times the images seen, so that early
        averages forget the random initialization; the first beta is then 0.
      images_seen: images before this step, int [].
      batch_size: images of this step.

    Reference: Karras et al. 2020a (StyleGAN2-ADA), training loop of the official code.
    """
    half_life = jnp.asarray(config.half_life_kimg * 1000, float)
    if config.rampup is not None:
        half_life = jnp.minimum(half_life, jnp.asarray(images_seen, float) * config.rampup)
    return 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8))


def update(average: Average, generator: NetworkState, beta: jax.Array) -> Average:
    """The average after one step: parameters are averaged, the other variables copied."""
    params = jax.tree.map(lambda old, new: new + (old - new) * beta, average.params, generator.params)
    return Average(params, generator.variables)
