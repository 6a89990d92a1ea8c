"""Standing statistics: batch normalization at sampling uses moments computed with the sampled weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan import latent_prior, prng
from flaxgan.errors import FieldError
from flaxgan.latent_prior import LatentPrior
from flaxgan.nn.batch_moments import standing_statistics
from flaxgan.train.step.random_inputs import LabelSampler
from flaxgan.train.step.state import Average
from flaxgan.types import Gan

STATISTICS = "batch_stats"
"""Collection of the statistics of batch normalization."""

RecalibrateBatchStats = Callable[[Average], Average]
"""average -> the average with recalibrated statistics of batch normalization."""


def batch_stats_recalibrator(
    gan: Gan,
    *,
    num_batches: int,
    batch_size: int,
    labels: LabelSampler,
    prior: LatentPrior = latent_prior.NORMAL,
    field: str = "num_batches",
) -> RecalibrateBatchStats:
    """Returns a function that recalibrates the statistics of batch normalization.

    The result is a pure function of the average: its random latents are fixed. Labels and prior should be those of the
    images that are sampled with the statistics.

    Args:
      gan: the networks.
      num_batches: number of batches of random latents whose moments are averaged. 0 keeps the running statistics.
      batch_size: number of images in each batch.
      labels: sampler of labels; unused by unconditional networks.
      prior: distribution of z, at the truncation of the sampled images.
      field: name of num_batches in an error.

    Raises:
      FieldError: if the generator has no batch normalization.

    References:
      Brock et al. 2019 (BigGAN), sections 3 and 3.1, appendix B.
    """
    if not num_batches:
        return lambda average: average
    _require_statistics(gan, num_batches, field)

    @jax.jit
    def moments(average: Average, key: jax.Array) -> Any:
        z_key, label_key, noise_key = jax.random.split(key, 3)
        _, new = gan.generator.apply(
            {"params": average.params, **average.variables},
            prior.draw(z_key, (batch_size, gan.z_dim)),
            labels(label_key, (batch_size,)) if gan.num_classes else None,
            train=True,
            rngs={"noise": noise_key},
            mutable=[*average.variables, "batch_moments"],
        )
        return new["batch_moments"]

    def recalibrate_batch_stats(average: Average) -> Average:
        keys = (prng.step_key(0, number, "standing") for number in range(num_batches))
        statistics = standing_statistics(moments(average, key) for key in keys)
        return Average(average.params, {**average.variables, STATISTICS: statistics})

    return recalibrate_batch_stats


def _require_statistics(gan: Gan, num_batches: int, field: str) -> None:
    labels = jnp.zeros((1,), jnp.int32) if gan.num_classes else None
    keys = {"params": jax.random.key(0), "noise": jax.random.key(0)}
    variables = jax.eval_shape(lambda: gan.generator.init(keys, jnp.zeros((1, gan.z_dim)), labels))
    if STATISTICS not in variables:
        raise FieldError(field, num_batches, "0, because this generator has no batch normalization")
