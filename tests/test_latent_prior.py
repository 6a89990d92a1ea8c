import jax
import numpy as np
import pytest
from scipy import stats

from flaxgan import latent_prior
from flaxgan.latent_prior import LatentPrior

PRIORS = [
    (LatentPrior(), stats.norm()),
    (LatentPrior("uniform", 1.0), stats.uniform(-1, 2)),
    (LatentPrior("uniform", 3.0), stats.uniform(-3, 6)),
    (LatentPrior("truncated_normal", 2.0), stats.truncnorm(-2, 2)),
    (LatentPrior("truncated_normal", 0.1), stats.truncnorm(-0.1, 0.1)),
]


@pytest.mark.parametrize("prior, distribution", PRIORS)
def test_draws_follow_the_distribution(prior, distribution):
    """Kolmogorov and Smirnov's test; its fixed draws pass with a probability of .999 each."""
    drawn = np.asarray(prior.draw(jax.random.key(1), (40, 100)))
    assert drawn.dtype == np.float32
    of_seeds = np.stack([prior.draw_of_seed(seed, 100) for seed in range(40)])
    assert of_seeds.dtype == np.float32
    for z in (drawn, of_seeds):
        assert stats.kstest(z.ravel(), distribution.cdf).pvalue > 1e-3
        assert prior.bound is None or np.abs(z).max() <= prior.bound


def test_numbers_of_a_seed_are_those_of_the_official_stylegan2_code():
    np.testing.assert_array_equal(LatentPrior().draw_of_seed(7, 5), np.random.RandomState(7).randn(5).astype("f4"))


def test_truncation_keeps_what_is_within_the_bound():
    normal = LatentPrior()
    assert normal.truncated(None) == normal
    assert normal.truncated(0.5) == LatentPrior("truncated_normal", 0.5)
    assert LatentPrior("truncated_normal", 2.0).truncated(3.0).bound == 2.0
    assert LatentPrior("uniform", 1.0).truncated(0.4) == LatentPrior("uniform", 0.4)
    whole, cut = normal.draw_of_seed(3, 50), normal.truncated(1.0).draw_of_seed(3, 50)
    kept = np.abs(whole) <= 1
    np.testing.assert_array_equal(cut[kept], whole[kept])
    assert 0 < kept.sum() < 50 and np.abs(cut).max() <= 1


def test_default_bounds():
    assert latent_prior.named("normal") == latent_prior.NORMAL
    assert latent_prior.named("uniform") == LatentPrior("uniform", 1.0)
    assert latent_prior.named("uniform", 2.0).bound == 2.0
    assert latent_prior.named("truncated_normal").bound == 2.0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("cauchy",), "name: found 'cauchy', allowed: normal, uniform, truncated_normal"),
        (("normal", 1.0), "bound: found 1.0, allowed: None"),
        (("uniform",), "bound: found None, allowed: a finite number above 0"),
        (("uniform", float("inf")), "bound: found inf"),
        (("uniform", float("nan")), "bound: found nan"),
        (("truncated_normal", 0.001), "bound: found 0.001, allowed: a finite number from 0.01"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentPrior(*arguments)
