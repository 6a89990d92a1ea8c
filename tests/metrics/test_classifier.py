import chex
import jax
import numpy as np
import pytest

from flaxgan.metrics.classifier import ClassifierNetwork, train_classifier


def _stripes(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of three classes: bright above, bright below, dark. Not square, three channels."""
    labels = np.arange(count, dtype=np.int32) % 3
    images = np.random.default_rng(0).integers(0, 60, (count, 6, 10, 3), dtype=np.uint8)
    images[labels == 0, :3] += 150
    images[labels == 1, 3:] += 150
    return images, labels


@pytest.fixture(scope="module")
def stripes_classifier():
    return train_classifier(*_stripes(), num_classes=3, seed=5, num_steps=40)


def test_digits_are_classified(digits, digits_classifier):
    images, labels = digits
    assert digits_classifier.held_out_accuracy >= 0.985
    assert np.mean(digits_classifier.predict(images) == labels) >= digits_classifier.held_out_accuracy


def test_features_are_relu_activations_of_the_stated_width(digits, digits_classifier):
    features = digits_classifier.features(digits[0][:100])
    assert features.shape == (100, digits_classifier.feature_dim) and features.dtype == np.float64
    assert features.min() == 0 and np.mean(features > 0) > 0.1


def test_prediction_is_read_from_the_features(stripes_classifier):
    images, _ = _stripes()
    head = jax.tree.map(np.asarray, stripes_classifier.params["Dense_1"])
    logits = stripes_classifier.features(images) @ head["kernel"] + head["bias"]
    predicted = stripes_classifier.predict(images)
    assert predicted.dtype == np.int32
    np.testing.assert_array_equal(predicted, logits.argmax(axis=1))


def test_padding_of_the_last_batch_changes_nothing(stripes_classifier):
    images, _ = _stripes(70)
    together = stripes_classifier.features(images)
    apart = np.concatenate([stripes_classifier.features(images[:3]), stripes_classifier.features(images[3:])])
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-5)


def test_same_seed_gives_the_same_classifier_and_another_seed_another(stripes_classifier):
    images, labels = _stripes()
    again = train_classifier(images, labels, num_classes=3, seed=5, num_steps=40)
    other = train_classifier(images, labels, num_classes=3, seed=6, num_steps=40)
    assert again.held_out_accuracy == stripes_classifier.held_out_accuracy
    chex.assert_trees_all_equal(again.params, stripes_classifier.params)
    assert np.abs(again.features(images) - other.features(images)).max() > 0.1


def test_accuracy_is_of_images_that_were_not_trained_on():
    images, _ = _stripes()
    meaningless = np.random.default_rng(1).integers(0, 3, len(images))
    classifier = train_classifier(images, meaningless, num_classes=3, seed=0, num_steps=200)
    learned_by_heart = np.mean(classifier.predict(images) == meaningless)
    assert learned_by_heart > 0.8 and classifier.held_out_accuracy < 0.75


def test_larger_images_reach_the_hidden_layer_at_a_bounded_size():
    images = np.zeros((1, 96, 64, 3), np.float32)
    shapes = jax.eval_shape(ClassifierNetwork(num_classes=2).init, jax.random.key(0), images)["params"]
    assert shapes["Dense_0"]["kernel"].shape == (6 * 4 * 64, 64)


def _train(images, labels, **overrides):
    return train_classifier(images, labels, **{"num_classes": 3, "seed": 0, "num_steps": 1} | overrides)


def test_wrong_training_sets_are_refused_by_name():
    images, labels = _stripes()
    with pytest.raises(ValueError, match=r"images: found float32 .*allowed: uint8"):
        _train(images.astype(np.float32), labels)
    with pytest.raises(ValueError, match=r"images: found uint8 \[60, 6, 10\]"):
        _train(images[..., 0], labels)
    with pytest.raises(ValueError, match=r"labels: found int32 \[59\], allowed: class indices \[60\]"):
        _train(images, labels[1:])
    with pytest.raises(ValueError, match="labels: found float64"):
        _train(images, labels.astype(float))
    with pytest.raises(ValueError, match="labels: found 1 to 3, allowed: 0 to 2"):
        _train(images, labels + 1)
    with pytest.raises(ValueError, match="num_classes: found 1"):
        _train(images, 0 * labels, num_classes=1)
    with pytest.raises(ValueError, match="too few to hold out"):
        _train(images[:3], labels[:3])


@pytest.mark.parametrize("override", [{"held_out_share": 0.0}, {"held_out_share": 1.0}, {"num_steps": 0}])
def test_wrong_options_are_refused_by_name(override):
    (name,) = override
    with pytest.raises(ValueError, match=f"{name}: found {override[name]}, allowed"):
        _train(*_stripes(), **override)


@pytest.mark.parametrize("shape", [(4, 6, 10, 1), (4, 6, 6, 3), (0, 6, 10, 3), (6, 10, 3)])
def test_images_unlike_those_it_was_trained_on_are_refused(stripes_classifier, shape):
    with pytest.raises(ValueError, match=r"images: found uint8 .*allowed: uint8 \[N, \*\[6, 10, 3\]\]"):
        stripes_classifier.predict(np.zeros(shape, np.uint8))
