import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans
from flax import linen as nn

from flaxgan import latent_prior
from flaxgan.nn.norms import BatchNorm
from flaxgan.train.evaluation import standing_statistics
from flaxgan.train.step.random_inputs import label_sampler
from flaxgan.train.step.state import Average
from flaxgan.types import Gan


class NormalizedGenerator(nn.Module):
    """z, normalized."""

    @nn.compact
    def __call__(self, z, labels=None, *, train: bool = False):
        return BatchNorm(name="norm")(z * self.param("gain", nn.initializers.ones, ()), train=train)


NO_LABELS = label_sampler(None)
GAN = Gan(NormalizedGenerator(), small_gans.SmallDiscriminator(), 3, (1, 3, 1), 0)


def _average() -> Average:
    variables = dict(GAN.generator.init(jax.random.key(0), jnp.zeros((1, 3))))
    params = jax.tree.map(lambda x: 2 * x, variables.pop("params"))
    return Average(params, variables)


def test_statistics_are_those_of_the_averaged_weights():
    """Twice standard normal: mean 0, variance 4; the running ones are still those of initialization."""
    before = _average()
    after = standing_statistics.batch_stats_recalibrator(GAN, num_batches=50, batch_size=64, labels=NO_LABELS)(before)
    statistics = after.variables["batch_stats"]["norm"]
    np.testing.assert_allclose(statistics["mean"], 0, atol=0.15)
    np.testing.assert_allclose(statistics["var"], 4, atol=0.4)
    assert after.params is before.params
    again = standing_statistics.batch_stats_recalibrator(GAN, num_batches=50, batch_size=64, labels=NO_LABELS)(before)
    chex.assert_trees_all_equal(after, again)


def test_no_batches_leave_the_running_statistics():
    before = _average()
    assert (
        standing_statistics.batch_stats_recalibrator(GAN, num_batches=0, batch_size=4, labels=NO_LABELS)(before)
        is before
    )


def test_a_generator_without_batch_normalization_is_refused_by_field():
    with pytest.raises(ValueError, match="config.standing_batches: found 2, allowed: 0, because this generator has no"):
        standing_statistics.batch_stats_recalibrator(
            small_gans.gan(), num_batches=2, batch_size=4, labels=NO_LABELS, field="config.standing_batches"
        )


class ShiftedGenerator(nn.Module):
    """z moved by ten times its class, normalized."""

    @nn.compact
    def __call__(self, z, labels=None, *, train: bool = False):
        return BatchNorm(name="norm")(z + 10.0 * labels[:, None], train=train)


@pytest.mark.parametrize("bound, deviation", [(None, 1.0), (0.5, 0.2839)])
@pytest.mark.parametrize("counts, mean", [([1, 0, 0], 0.0), ([0, 0, 1], 20.0)])
def test_statistics_are_those_of_the_sampled_truncation_and_class(bound, deviation, counts, mean):
    """0.2839: standard deviation of a normal number between -0.5 and 0.5."""
    gan = Gan(ShiftedGenerator(), small_gans.SmallDiscriminator(), 3, (1, 3, 1), 3)
    variables = dict(gan.generator.init(jax.random.key(0), jnp.zeros((1, 3)), jnp.zeros((1,), jnp.int32)))
    before = Average(variables.pop("params", {}), variables)
    prior = latent_prior.NORMAL.truncated(bound)
    after = standing_statistics.batch_stats_recalibrator(
        gan, num_batches=50, batch_size=64, labels=label_sampler(counts), prior=prior
    )(before)
    statistics = after.variables["batch_stats"]["norm"]
    np.testing.assert_allclose(statistics["mean"], mean, atol=0.1 * deviation)
    np.testing.assert_allclose(np.sqrt(statistics["var"]), deviation, rtol=0.05)
