import numpy as np
import pytest

from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.sources import synthetic


def test_images_are_noise_that_depends_on_the_index_alone():
    source = synthetic.open("", ImageSpec(resolution=(8, 12), channels=5, num_classes=None))
    assert source.image_shape == (8, 12, 5) and source.labels is None
    assert len(source) == synthetic.NUM_IMAGES
    image, label = source[7]
    assert image.dtype == np.uint8 and image.shape == (8, 12, 5) and label == 0
    np.testing.assert_array_equal(image, source[7][0])
    assert not np.array_equal(image, source[8][0])
    assert abs(np.stack([source[index][0] for index in range(50)]).mean() - 127.5) < 3


def test_classes_take_turns():
    source = synthetic.open("", ImageSpec(resolution=8, channels=None, num_classes=3))
    assert source.image_shape == (8, 8, 3)
    np.testing.assert_array_equal(source.labels[:5], [0, 1, 2, 0, 1])
    assert source.labels.dtype == np.int32 and source.num_classes == 3 and len(source.class_names) == 3


def test_resolution_must_be_set():
    with pytest.raises(
        ValueError, match=r"data\.resolution: found None, allowed: .* with config\.data\.source='synthetic'"
    ):
        synthetic.open("", ImageSpec(resolution=None, channels=None, num_classes=None))


def test_path_must_be_empty():
    with pytest.raises(
        ValueError, match=r"data\.path: found 'x', allowed: '', because config\.data\.source='synthetic' has no files"
    ):
        synthetic.open("x", ImageSpec(resolution=8, channels=None, num_classes=None))


def test_label_vectors_are_the_bits_of_the_index():
    source = synthetic.open("", ImageSpec(resolution=8, num_classes=4, labels="vectors"))
    assert source.labels.dtype == np.float32
    np.testing.assert_array_equal(source.labels[6], [0, 1, 1, 0])
    assert source[5][1].tolist() == [1, 0, 1, 0] and source.num_classes == 4
