import numpy as np
import pytest

from flaxgan.metrics.class_quality import class_quality
from flaxgan.metrics.frechet import frechet_distance_of_features
from flaxgan.metrics.precision_recall import precision_recall


@pytest.fixture(scope="module")
def quality(digits, digits_classifier):
    """The quality of given fakes against all the digits."""
    return lambda images, labels, **options: class_quality(digits_classifier, digits[0], images, labels, **options)


def _noisy(images: np.ndarray, amplitude: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, amplitude, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def test_the_real_images_themselves_are_perfect(quality, digits, digits_classifier):
    result = quality(*digits)
    assert result["agreement"] > 0.99
    assert abs(result["frechet"]) < 1e-6
    assert result["precision"] == result["recall"] == 1
    assert result["classifier_accuracy"] == digits_classifier.held_out_accuracy
    assert all(type(value) is float for value in result.values())


def test_a_good_generator_scores_like_the_real_halves(quality, digits):
    images, labels = digits
    result = quality(_noisy(images, 4), labels)
    assert result["agreement"] > 0.98
    assert result["recall"] > 0.9 and result["recall_real_halves"] > 0.9
    assert result["frechet"] < result["frechet_real_halves"]


def test_collapse_inside_each_class_shows_in_recall_and_frechet_but_not_in_agreement(quality, digits):
    images, labels = digits
    rng = np.random.default_rng(0)
    few = np.concatenate([rng.choice(np.flatnonzero(labels == label)[:4], 180) for label in range(10)])
    result = quality(_noisy(images[few], 4), labels[few])
    assert result["agreement"] > 0.97 and result["precision"] > 0.9
    assert result["recall"] < 0.2 < 0.9 < result["recall_real_halves"]
    assert result["frechet"] > 5 * result["frechet_real_halves"]


def test_recall_grows_with_the_variety_inside_the_classes(quality, digits):
    images, labels = digits
    rng = np.random.default_rng(0)

    def recall(images_per_class):
        pools = [np.flatnonzero(labels == label)[:images_per_class] for label in range(10)]
        chosen = np.concatenate([rng.choice(pool, 180) for pool in pools])
        return quality(_noisy(images[chosen], 8), labels[chosen])["recall"]

    recalls = [recall(count) for count in (2, 16, 170)]
    assert 4 * recalls[0] < recalls[1] < recalls[2] - 0.3


def test_without_labels_only_the_agreement_is_missing(quality, digits):
    images, labels = digits
    with_labels, without = quality(images[:200], labels[:200]), quality(images[:200], None)
    assert with_labels.pop("agreement") > 0.98
    assert without == with_labels


def test_confidence_and_balance_are_those_of_the_classifier(quality, digits, digits_classifier):
    images, labels = digits
    result = quality(images, None)
    assert result["confidence"] == result["confidence_reals"] > 0.98
    assert result["class_balance"] > 0.99
    probabilities = digits_classifier.probabilities(images[:50])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), digits_classifier.predict(images[:50]))
    # Two classes of ten, one of them three times as often as the other.
    few = np.concatenate([images[labels == 0][:90], images[labels == 1][:30]])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(10)
    found = quality(few, None)
    assert np.isclose(found["class_balance"], entropy, atol=0.03)
    assert found["confidence"] == digits_classifier.probabilities(few).max(axis=1).mean()


def test_a_single_class_has_no_balance(quality, digits):
    images, labels = digits
    assert quality(np.repeat(images[labels == 3][:1], 20, axis=0), None)["class_balance"] == 0


def test_wrong_classes_show_in_agreement_alone(quality, digits):
    images, labels = digits
    right, wrong = quality(images, labels), quality(images, (labels + 1) % 10)
    assert wrong.pop("agreement") < 0.01 < right.pop("agreement")
    assert wrong == right


def test_garbage_shows_in_precision(quality, digits):
    garbage = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 1), dtype=np.uint8)
    result = quality(garbage, np.zeros(200, np.int32))
    assert result["precision"] < 0.3 and result["frechet"] > 5 * result["frechet_real_halves"]


def test_values_are_those_of_the_measures_in_the_classifiers_features(quality, digits, digits_classifier):
    images, labels = digits
    result = quality(images[:300, ::-1], labels[:300], k=3)
    real, fake = digits_classifier.features(images), digits_classifier.features(images[:300, ::-1])
    assert result["frechet"] == frechet_distance_of_features(real, fake)
    assert (result["precision"], result["recall"]) == precision_recall(real, fake, k=3)


def test_wrong_arguments_are_refused_by_name(quality, digits, digits_classifier):
    images, labels = digits
    with pytest.raises(ValueError, match=r"fake_labels: found int32 \[9\], allowed: class indices \[10\]"):
        quality(images[:10], labels[:9])
    with pytest.raises(ValueError, match="fake_labels: found float64"):
        quality(images[:10], labels[:10].astype(float))
    with pytest.raises(ValueError, match="k: found 5 with 5 fake_features"):
        quality(images[:5], labels[:5])
    with pytest.raises(ValueError, match="real_images: found 11 images, allowed: at least 12"):
        class_quality(digits_classifier, images[:11], images, labels)
