import jax
import numpy as np
import pytest

from flaxgan.metrics.detector_images import detector_images


def _images(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, height, width, channels)).astype(np.float32)


def test_range_becomes_that_of_bytes_without_rounding():
    images = _images(4, 6)
    np.testing.assert_allclose(detector_images(images, crop=False), images * 127.5 + 127.5, rtol=1e-5, atol=1e-4)


def test_crop_is_the_centre_of_a_face():
    images = _images(16, 24)
    expected = detector_images(images, crop=False)[:, 6:14, 6:18]
    np.testing.assert_array_equal(detector_images(images, crop=True), expected)


def test_one_channel_is_repeated():
    seen = detector_images(_images(4, 4, channels=1), crop=False)
    assert seen.shape == (2, 4, 4, 3)
    np.testing.assert_array_equal(seen[..., 0], seen[..., 2])


@pytest.mark.parametrize(("height", "width", "factor"), [(512, 512, 2), (768, 1024, 3), (511, 2048, 1)])
def test_large_images_are_averaged_by_a_whole_factor(height, width, factor):
    images = _images(height, width - width % factor, channels=1)
    seen = np.asarray(detector_images(images, crop=False))
    assert seen.shape[1:3] == (height // factor, images.shape[2] // factor)
    block = images[1, factor : 2 * factor, 3 * factor : 4 * factor].astype(np.float64)
    np.testing.assert_allclose(seen[1, 1, 3], 127.5 * (block.mean() + 1), rtol=1e-5)


def test_factor_is_that_of_the_image_before_the_crop():
    assert detector_images(_images(512, 512, channels=1), crop=True).shape == (2, 128, 128, 3)


def test_jit_equals_eager():
    images = _images(16, 16)
    jitted = jax.jit(detector_images, static_argnames="crop")(images, crop=True)
    np.testing.assert_allclose(jitted, detector_images(images, crop=True), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 8, 8, 4), (8, 8, 3), (2, 8, 8, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"images: found shape .*allowed: \[N, H, W, 1\]"):
        detector_images(np.zeros(shape), crop=False)


def test_sizes_that_the_factor_does_not_divide_are_refused():
    with pytest.raises(ValueError, match="images: found 512x513 px to average by 2"):
        detector_images(np.zeros((1, 512, 513, 1), np.float32), crop=False)
