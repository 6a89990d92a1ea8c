import itertools

import numpy as np
import pytest

from flaxgan.metrics.kernel import draw_subsets, kernel_distance, kernel_distance_of_random_subsets


def _sets(real: int = 20, fake: int = 15, dim: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(real, dim)), rng.normal(size=(fake, dim)) * 1.5 + 0.3


def _slow_estimate(real: np.ndarray, fake: np.ndarray) -> float:
    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y)) / len(x) + 1) ** 3

    within_real = np.mean([kernel(x, y) for x, y in itertools.permutations(real, 2)])
    within_fake = np.mean([kernel(x, y) for x, y in itertools.permutations(fake, 2)])
    return within_real + within_fake - 2 * np.mean([kernel(x, y) for x, y in itertools.product(real, fake)])


def test_distance_is_the_mean_of_the_subsets_unbiased_estimates():
    real, fake = _sets()
    rng = np.random.default_rng(1)
    real_subsets, fake_subsets = rng.integers(0, 20, (3, 6)), rng.integers(0, 15, (3, 6))
    expected = np.mean([_slow_estimate(real[r], fake[f]) for r, f in zip(real_subsets, fake_subsets)])
    distance = kernel_distance(real, fake, real_subsets=real_subsets, fake_subsets=fake_subsets)
    np.testing.assert_allclose(distance, expected, rtol=1e-12)


def test_subsets_as_large_as_a_set_take_all_of_it_whatever_the_seed():
    real, fake = _sets(real=15)
    distances = [kernel_distance_of_random_subsets(real, fake, seed=seed, num_subsets=2) for seed in (0, 1)]
    np.testing.assert_allclose(distances, _slow_estimate(real, fake), rtol=1e-12)


def test_random_subsets_are_the_same_for_the_same_seed_and_unbiased():
    real, fake = _sets()
    options = {"num_subsets": 400, "max_subset_size": 10}
    distance = kernel_distance_of_random_subsets(real, fake, seed=3, **options)
    assert distance == kernel_distance_of_random_subsets(real, fake, seed=3, **options)
    assert distance != kernel_distance_of_random_subsets(real, fake, seed=4, **options)
    np.testing.assert_allclose(distance, _slow_estimate(real, fake), rtol=0.1)


def test_sets_of_one_distribution_are_at_a_distance_around_zero():
    rng = np.random.default_rng(0)
    sets = rng.normal(size=(20, 2, 100, 8))
    distances = [kernel_distance_of_random_subsets(a, b, seed=0, num_subsets=1) for a, b in sets]
    assert min(distances) < 0 < max(distances)
    assert abs(np.mean(distances)) < 3 * np.std(distances) / np.sqrt(len(distances))


def test_drawn_subsets_repeat_nothing_and_reach_everything():
    subsets = draw_subsets(np.random.default_rng(0), 9, num_subsets=50, subset_size=4)
    assert subsets.shape == (50, 4)
    assert all(len(set(subset)) == 4 for subset in subsets.tolist())
    assert set(subsets.ravel().tolist()) == set(range(9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"real_subsets": np.zeros((2, 3))}, r"real_subsets: found float64 \[2, 3\], allowed: int"),
        ({"real_subsets": np.zeros((2, 1), int)}, "m of at least 2"),
        ({"real_subsets": np.full((2, 3), 20)}, "real_subsets: found indices 20 to 20, allowed: 0 to 19"),
        ({"fake_subsets": np.full((2, 3), -1)}, "fake_subsets: found indices -1 to -1, allowed: 0 to 14"),
        ({"fake_subsets": np.zeros((2, 4), int)}, r"fake_subsets: found shape \(2, 4\), allowed: \(2, 3\)"),
    ],
)
def test_wrong_subsets_are_refused_by_name(change, message):
    subsets = {"real_subsets": np.zeros((2, 3), int), "fake_subsets": np.zeros((2, 3), int)} | change
    with pytest.raises(ValueError, match=message):
        kernel_distance(*_sets(), **subsets)


def test_wrong_options_are_refused_by_name():
    real, fake = _sets()
    with pytest.raises(ValueError, match="num_subsets: found 0"):
        kernel_distance_of_random_subsets(real, fake, seed=0, num_subsets=0)
    with pytest.raises(ValueError, match="max_subset_size: found 1, allowed: at least 2"):
        kernel_distance_of_random_subsets(real, fake, seed=0, max_subset_size=1)
    with pytest.raises(ValueError, match="fake_features: found width 4"):
        kernel_distance_of_random_subsets(real, fake[:, :4], seed=0)
    with pytest.raises(ValueError, match="fake_features: found 1 sample"):
        kernel_distance_of_random_subsets(real, fake[:1], seed=0)
    with pytest.raises(ValueError, match="subset_size: found 10, allowed: 1 to 9"):
        draw_subsets(np.random.default_rng(0), 9, num_subsets=1, subset_size=10)
