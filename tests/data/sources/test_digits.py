import numpy as np
import pytest
from sklearn.datasets import load_digits

from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.sources import digits

UNSET = {"resolution": None, "channels": None, "num_classes": None}


def test_digits_at_their_default_size():
    source = digits.open("", ImageSpec(**UNSET))
    assert len(source) == 1797 and source.image_shape == (16, 16, 1)
    assert source.num_classes == 10 and source.class_names == tuple("0123456789")
    np.testing.assert_array_equal(source.labels, load_digits().target)
    image, label = source[5]
    assert image.dtype == np.uint8 and image.shape == (16, 16, 1)
    assert label.dtype == np.int32 and label == load_digits().target[5]
    assert source.description == "1,797 images of 16x16x1, 10 classes, from scikit-learn's handwritten digits"


def test_native_size_is_the_original_scaled_to_bytes():
    source = digits.open("", ImageSpec(resolution=8, channels=1, num_classes=10))
    np.testing.assert_array_equal(np.stack(source.images)[..., 0], np.rint(load_digits().images * (255 / 16)))


def test_enlarging_keeps_ink_and_is_smooth():
    original = digits.open("", ImageSpec(**{**UNSET, "resolution": 8})).images.astype(float)
    enlarged = digits.open("", ImageSpec(**{**UNSET, "resolution": 32})).images.astype(float)
    np.testing.assert_allclose(enlarged.mean((1, 2)), original.mean((1, 2)), atol=6)
    steps = lambda images: np.abs(np.diff(images, axis=2)).max()
    assert steps(enlarged) < 0.5 * steps(original)


def test_non_square():
    assert digits.open("", ImageSpec(**{**UNSET, "resolution": (16, 24)})).image_shape == (16, 24, 1)


def test_images_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        digits.open("", ImageSpec(**UNSET))[0][0][0] = 1


def test_labels_can_be_ignored():
    source = digits.open("", ImageSpec(**{**UNSET, "num_classes": 0}))
    assert source.labels is None and source.num_classes == 0 and source[3][1] == 0


@pytest.mark.parametrize(
    "field, value, allowed", [("channels", 3, r"1 \(grey\)"), ("num_classes", 12, "10, 0 or None")]
)
def test_what_digits_do_not_have(field, value, allowed):
    with pytest.raises(
        ValueError,
        match=rf"config\.data\.{field}: found {value}, allowed: {allowed}.* with config\.data\.source='digits'",
    ):
        digits.open("", ImageSpec(**{**UNSET, field: value}))


def test_path_must_be_empty():
    with pytest.raises(
        ValueError,
        match=r"config\.data\.path: found '/data', allowed: '', because config\.data\.source='digits' has no files",
    ):
        digits.open("/data", ImageSpec(**UNSET))


def test_label_vectors_are_one_hot():
    source = digits.open("", ImageSpec(labels="vectors", num_classes=10))
    assert source.labels.shape == (1797, 10) and source.labels.dtype == np.float32
    np.testing.assert_array_equal(source.labels.argmax(1), load_digits().target)
    np.testing.assert_array_equal(source.labels.sum(1), 1)


@pytest.mark.parametrize("field, value", [("crop", "center"), ("resize", "box")])
def test_there_is_nothing_to_crop_or_resize(field, value):
    with pytest.raises(
        ValueError, match=rf"config\.data\.{field}: found '{value}', allowed: 'none' with config\.data\.source='digits'"
    ):
        digits.open("", ImageSpec(resolution=8, **{field: value}))
