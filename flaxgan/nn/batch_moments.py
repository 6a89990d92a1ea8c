"""Standing statistics: what batch normalization uses for sampling instead of its running averages."""

from collections.abc import Iterable
from typing import Any

import jax


def standing_statistics(batch_moments: Iterable[Any]) -> Any:
    """The mean of the moments of some batches, each counting the same.

    The averages that a generator keeps while it trains belong to parameters of the past; those of an averaged generator
    belong to no parameters at all. Standing statistics are those of the very parameters that are sampled from:

        moments = []
        for key in keys:
            z = jax.random.normal(key, (batch, z_dim))
            _, new = generator.apply(variables, z, labels, train=True, mutable=[*collections, "batch_moments"])
            moments.append(new["batch_moments"])
        variables = {**variables, "batch_stats": standing_statistics(moments)}

    Args:
      batch_moments: the collection "batch_moments" (`flaxgan.nn.norms`) of each batch; may be a generator, of which one
        tree at a time is held.

    Returns:
      A tree like each of them: the collection "batch_stats".

    Raises:
      ValueError: if there is none, or they differ in structure.

    Reference: Brock et al. 2019 (BigGAN), section 3 and appendix B ("standing statistics").
    """
    total, count = None, 0
    for moments in batch_moments:
        total = moments if total is None else jax.tree.map(lambda a, b: a + b, total, moments)
        count += 1
    if not jax.tree.leaves(total):
        raise ValueError(f"batch_moments: found {count} batches without moments, allowed: at least 1 with moments")
    return jax.tree.map(lambda a: a / count, total)
