"""Quality and variety of generated images, as judged by a small classifier of real images."""

import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.metrics.classifier import Classifier
from flaxgan.metrics.frechet import frechet_distance_of_features
from flaxgan.metrics.precision_recall import precision_recall

# The halves of the real set have to be the same at every snapshot of every run for the figures to be comparable.
_HALVES_SEED = 0


def class_quality(
    classifier: Classifier,
    real_images: np.ndarray,
    fake_images: np.ndarray,
    fake_labels: np.ndarray | None = None,
    *,
    k: int = 5,
) -> dict[str, float]:
    """Computes agreement, confidence, class balance, Frechet distance, precision and recall of fakes.

    All but the agreement are also defined, and have the same value, for fakes without labels. Agreement and confidence
    do not reveal mode collapse: a generator that repeats one good image per class agrees fully. Recall and the Frechet
    distance reveal it, so read them together; the values between two halves of the real set show what a perfect
    generator could reach. Recall and precision depend on the number of images: compare them at equal numbers, best with
    as many fakes as reals.

    Args:
      classifier: a classifier trained on images like the real ones.
      real_images: uint8 [M, H, W, C], M at least 2 * (k + 1).
      fake_images: uint8 [N, H, W, C], N above k.
      fake_labels: the classes with which the generator was conditioned, int [N]; None for an unconditional generator.
      k: the k-th nearest neighbour is the radius of a sample's ball in precision and recall.

    Returns:
      agreement: share of the fakes whose predicted class equals their label; only with fake_labels.
      confidence: mean over the fakes of the probability of the most likely class.
      class_balance: entropy of the frequencies of predicted classes, divided by log K: 1 if all K classes are predicted
        equally often, 0 if only one is predicted.
      frechet: squared Frechet distance between reals and fakes in the classifier's features.
      precision, recall: those of Kynkaanniemi et al. 2019, in the same features.
      frechet_real_halves, recall_real_halves: the same between two fixed random halves of the reals. At half the number
        of images the distance is biased upward; the recall is about that of a perfect generator.
      confidence_reals: the confidence on the reals; the classifier was trained on most of them.
      classifier_accuracy: the accuracy of the classifier on held-out real images.

    Raises:
      FieldError: on shapes, types or counts that are not allowed.
    """
    if fake_labels is not None:
        fake_labels = _checked_labels(fake_labels, len(fake_images))
    if len(real_images) < 2 * (k + 1):
        raise FieldError("real_images", Words(f"{len(real_images)} images"), f"at least {2 * (k + 1)}, 2 * (k + 1)")
    real_features, fake_features = classifier.features(real_images), classifier.features(fake_images)
    between = precision_recall(real_features, fake_features, k=k)
    order = np.random.default_rng(_HALVES_SEED).permutation(len(real_features))
    one_half, other_half = np.array_split(real_features[order], 2)
    probabilities = classifier.probabilities(fake_images)
    predicted = probabilities.argmax(axis=1)
    agreement = {} if fake_labels is None else {"agreement": float(np.mean(predicted == fake_labels))}
    return {
        **agreement,
        "confidence": float(probabilities.max(axis=1).mean()),
        "class_balance": _balance(predicted, classifier.num_classes),
        "frechet": frechet_distance_of_features(real_features, fake_features),
        "recall": between.recall,
        "precision": between.precision,
        "frechet_real_halves": frechet_distance_of_features(one_half, other_half),
        "recall_real_halves": precision_recall(one_half, other_half, k=k).recall,
        "confidence_reals": float(classifier.probabilities(real_images).max(axis=1).mean()),
        "classifier_accuracy": classifier.held_out_accuracy,
    }


def _checked_labels(fake_labels: np.ndarray, count: int) -> np.ndarray:
    fake_labels = np.asarray(fake_labels)
    if fake_labels.shape != (count,) or not np.issubdtype(fake_labels.dtype, np.integer):
        found = Words(f"{fake_labels.dtype} {list(fake_labels.shape)}")
        raise FieldError("fake_labels", found, f"class indices [{count}], one per fake image")
    return fake_labels


def _balance(predicted: np.ndarray, num_classes: int) -> float:
    """Returns the entropy of the frequencies of classes int [N], as a share of that of equal frequencies."""
    shares = np.bincount(predicted, minlength=num_classes) / len(predicted)
    shares = shares[shares > 0]
    return float(-np.sum(shares * np.log(shares)) / np.log(num_classes))
