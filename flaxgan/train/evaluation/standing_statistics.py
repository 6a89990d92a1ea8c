"""Standing statistics: batch normalization at sampling with the moments of the very weights that are sampled from."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flaxgan import prng
from flaxgan.nn.batch_moments import standing_statistics
from flaxgan.train.step.random_inputs import LabelSampler
from flaxgan.train.step.state import Average
from flaxgan.types import Gan

STATISTICS = "batch_stats"

RecalibrateBatchStats = Callable[[Average], Average]
"""The average with other statistics of batch normalization."""


def batch_stats_recalibrator(
    gan: Gan,
    *,
    num_batches: int,
    batch_size: int,
    vectors: LabelSampler | None = None,
    field: str = "num_batches",
) -> RecalibrateBatchStats:
    """A function that takes the statistics of batch normalization anew, a pure function of the average.

    Args:
      gan: the networks.
      num_batches: batches of random latents, and labels of all classes alike, whose moments are averaged. 0 leaves the
        running statistics.
      batch_size: images in each of them.
      vectors: sampler of labels where they are vectors.
      field: what an error calls num_batches.

    Raises:
      ValueError: if the generator has no statistics to take.

    Reference: Brock et al. 2019 (BigGAN), section 3 and appendix B.
    """
    if not num_batches:
        return lambda average: average
    _require_statistics(gan, num_batches, field)

    def labels(key: jax.Array) -> jax.Array | None:
        if vectors is not None:
            return vectors(key, (batch_size,))
        return jax.random.randint(key, (batch_size,), 0, gan.num_classes) if gan.num_classes else None

    @jax.jit
    def moments(average: Average, key: jax.Array):
        z_key, label_key, noise_key = jax.random.split(key, 3)
        _, new = gan.generator.apply(
            {"params": average.params, **average.variables},
            jax.random.normal(z_key, (batch_size, gan.z_dim)),
            labels(label_key),
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
        allowed = "0, because this generator has no batch normalization"
        raise ValueError(f"{field}: found {num_batches}, allowed: {allowed}")
