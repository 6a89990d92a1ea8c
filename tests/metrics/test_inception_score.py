import numpy as np
import pytest

from flaxgan.metrics.inception_score import inception_score, probabilities_of_logits


def _slow_score(probabilities: np.ndarray) -> float:
    mean = np.mean(probabilities, axis=0)
    terms = [p * (np.log(p) - np.log(q)) for row in probabilities for p, q in zip(row, mean) if p > 0]
    return np.exp(sum(terms) / len(probabilities))


def _probabilities(count: int, classes: int = 6) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(classes, 0.3), size=count)


@pytest.mark.parametrize(("count", "num_splits"), [(40, 4), (53, 7), (10, 10), (9, 1)])
def test_scores_are_those_of_the_splits(count, num_splits):
    probabilities = _probabilities(count)
    bounds = [i * count // num_splits for i in range(num_splits + 1)]
    expected = [_slow_score(probabilities[start:stop]) for start, stop in zip(bounds, bounds[1:])]
    result = inception_score(probabilities, num_splits=num_splits)
    np.testing.assert_allclose(result.split_scores, expected, rtol=1e-12)
    np.testing.assert_allclose(result.mean, np.mean(expected), rtol=1e-12)
    np.testing.assert_allclose(result.std, np.sqrt(np.mean((expected - np.mean(expected)) ** 2)), atol=1e-12)


def test_certain_and_balanced_predictions_score_the_number_of_classes():
    result = inception_score(np.tile(np.eye(5), (8, 1)), num_splits=4)
    np.testing.assert_allclose([result.mean, result.std], [5, 0], atol=1e-12)


@pytest.mark.parametrize("probabilities", [np.tile(np.eye(5)[:1], (20, 1)), np.full((20, 5), 0.2)])
def test_one_class_and_undecided_predictions_score_one(probabilities):
    np.testing.assert_allclose(inception_score(probabilities).mean, 1, rtol=1e-12)


def test_logits_become_probabilities_without_overflow():
    logits = np.array([[1000.0, 1000.0, -1000.0], [0.0, np.log(2), np.log(5)]], np.float64)
    np.testing.assert_allclose(probabilities_of_logits(logits), [[0.5, 0.5, 0], [1 / 8, 2 / 8, 5 / 8]], rtol=1e-14)


def test_float16_probabilities_are_taken():
    probabilities = _probabilities(50)
    exact = inception_score(probabilities).mean
    np.testing.assert_allclose(inception_score(probabilities.astype(np.float16)).mean, exact, rtol=1e-2)


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="num_splits: found 10, allowed: 1 to 5"):
        inception_score(_probabilities(5))
    with pytest.raises(ValueError, match="num_splits: found 0"):
        inception_score(_probabilities(5), num_splits=0)
    with pytest.raises(ValueError, match="probabilities: found a minimum of .*row sums"):
        inception_score(np.random.default_rng(0).normal(size=(20, 5)))
    with pytest.raises(ValueError, match=r"probabilities: found shape \(5,\)"):
        inception_score(np.ones(5))
    with pytest.raises(ValueError, match="logits: found non-finite values"):
        probabilities_of_logits(np.full((2, 2), np.nan))
