"""The Inception score, from class predictions."""

from typing import NamedTuple

import numpy as np
import scipy.special

from flaxgan.errors import FieldError, Words
from flaxgan.metrics.feature_arrays import feature_matrix


class InceptionScore(NamedTuple):
    """The scores of the splits of the images, with their mean and standard deviation.

    Attributes:
      mean: mean over the splits, between 1 (worst) and the number of classes (best).
      std: population standard deviation over the splits.
      split_scores: float64 [S].
    """

    mean: float
    std: float
    split_scores: np.ndarray


def inception_score(probabilities: np.ndarray, *, num_splits: int = 10) -> InceptionScore:
    """Computes exp of the mean divergence KL(p(y|x) || p(y)), for each split of the images.

    Split i of S holds the images from i * N // S up to (i + 1) * N // S, and p(y) is the mean over that split. A
    probability of zero contributes zero (0 log 0 = 0).

    Args:
      probabilities: class probabilities of each image, [N, K]; rows sum to 1.
      num_splits: number of splits S, 1 to N.

    Raises:
      FieldError: on other shapes or values.

    References:
      Salimans et al. 2016, "Improved Techniques for Training GANs", section 4.
    """
    probabilities = feature_matrix(probabilities, name="probabilities")
    # 1e-3 accepts float16 probabilities and refuses logits.
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > 1e-3:
        sums = probabilities.sum(axis=1)
        found = Words(f"a minimum of {probabilities.min()} and row sums from {sums.min()} to {sums.max()}")
        raise FieldError("probabilities", found, "no negative values and row sums of 1")
    if not 1 <= num_splits <= len(probabilities):
        raise FieldError("num_splits", num_splits, f"1 to {len(probabilities)}, the number of images")
    bounds = np.arange(num_splits + 1) * len(probabilities) // num_splits
    scores = np.array([_score(probabilities[start:stop]) for start, stop in zip(bounds, bounds[1:])])
    return InceptionScore(float(scores.mean()), float(scores.std()), scores)


def probabilities_of_logits(logits: np.ndarray) -> np.ndarray:
    """Computes the softmax of logits [N, K] in float64."""
    return scipy.special.softmax(feature_matrix(logits, name="logits"), axis=1)


def _score(probabilities: np.ndarray) -> float:
    divergences = scipy.special.rel_entr(probabilities, probabilities.mean(axis=0)).sum(axis=1)
    return np.exp(divergences.mean())
