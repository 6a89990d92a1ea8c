import numpy as np

from flaxgan.data.source import Source, describe


def test_a_source_is_a_sequence_of_images_and_labels():
    images = np.arange(2 * 4 * 4 * 1, dtype=np.uint8).reshape(2, 4, 4, 1)
    labels = np.array([1, 0], np.int32)
    source = Source(images, (4, 4, 1), labels, 2, ("a", "b"), "two images")
    assert len(source) == 2
    image, label = source[1]
    np.testing.assert_array_equal(image, images[1])
    assert label == 0 and label.dtype == np.int32


def test_label_is_zero_without_labels():
    source = Source(np.zeros((1, 2, 2, 3), np.uint8), (2, 2, 3), None, 0, (), "one image")
    assert source[0][1] == 0 and source[0][1].dtype == np.int32


def test_describe():
    assert describe(1500, (64, 96, 3), 0, "/data") == "1,500 images of 64x96x3, no labels, from /data"
