"""Standing statistics of a network's batch normalization."""

import jax
import numpy as np
import pytest
from derivatives import program
from flax import linen as nn

from flaxgan.nn.batch_moments import standing_statistics
from flaxgan.nn.norms import BatchNorm


class _Network(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        for name in ("first", "second"):
            x = nn.relu(BatchNorm(name=name)(x, train=train)) + x
        return x


def test_the_mean_of_the_batches():
    network, batches = _Network(), np.random.default_rng(0).normal(3, 2, size=(3, 4, 5, 2)).astype(np.float32)
    variables = network.init(jax.random.key(0), batches[0])
    call = program(lambda x: network.apply(variables, x, train=True, mutable=["batch_stats", "batch_moments"]))
    moments = [call(x)[1]["batch_moments"] for x in batches]
    statistics = standing_statistics(iter(moments))
    assert jax.tree.structure(statistics) == jax.tree.structure(variables["batch_stats"])
    np.testing.assert_allclose(statistics["first"]["mean"], batches.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(statistics["first"]["var"], batches.var((1, 2), ddof=1).mean(0), rtol=1e-5)
    # With the statistics of a single batch, evaluation is the training of that batch, but for the unbiased variance.
    single = {**variables, "batch_stats": standing_statistics(moments[:1])}
    np.testing.assert_allclose(network.apply(single, batches[0]), call(batches[0])[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("moments", [[], [{}, {}]])
def test_no_moments(moments):
    with pytest.raises(ValueError, match="^batch_moments: found"):
        standing_statistics(moments)
