"""Standing statistics, which replace the running averages of batch normalization for sampling."""

from collections.abc import Iterable
from typing import Any

import jax

from flaxgan.errors import FieldError, Words


def standing_statistics(batch_moments: Iterable[Any]) -> Any:
    """Computes the unweighted mean of the moments of batches.

    The running averages of a generator belong to its past parameters, and those of an averaged generator belong to no
    parameters at all. Standing statistics are computed with the parameters that are sampled:

        moments = []
        for key in keys:
            z = jax.random.normal(key, (batch, z_dim))
            _, new = generator.apply(variables, z, labels, train=True, mutable=[*collections, "batch_moments"])
            moments.append(new["batch_moments"])
        variables = {**variables, "batch_stats": standing_statistics(moments)}

    Args:
      batch_moments: the collection "batch_moments" (`flaxgan.nn.norms`) of each batch; may be a generator, of which
        only one tree at a time is kept.

    Returns:
      The collection "batch_stats", a tree of the same structure.

    Raises:
      FieldError: if there are no moments.
      ValueError: if the trees differ in structure.

    References:
      Brock et al. 2019 (BigGAN), section 3 and appendix B ("standing statistics").
    """
    total, count = None, 0
    for moments in batch_moments:
        total = moments if total is None else jax.tree.map(lambda a, b: a + b, total, moments)
        count += 1
    if not jax.tree.leaves(total):
        raise FieldError("batch_moments", Words(f"{count} batches without moments"), "at least 1 with moments")
    return jax.tree.map(lambda a: a / count, total)
