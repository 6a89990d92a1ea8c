import numpy as np
import pytest
from PIL import Image

from flaxgan.data.decoding.transform import Transform
from flaxgan.data.errors import ImageError


def random(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def weights(length: int, target: int, kind: str) -> np.ndarray:
    """[target, length] weights of an antialiased filter, from its definition."""
    scale = length / target
    width = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    x = (np.arange(length) + 0.5 - centers[:, None]) / width
    if kind == "box":
        values = ((x > -0.5) & (x <= 0.5)).astype(float)
    else:
        values = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return values / values.sum(1, keepdims=True)


@pytest.mark.parametrize("kind", ["lanczos", "box"])
@pytest.mark.parametrize("shape, size", [((12, 20, 3), (4, 10)), ((16, 16, 1), (5, 7)), ((6, 8, 3), (12, 24))])
def test_resize_against_the_filter(shape, size, kind):
    image = random(*shape)
    rows = np.clip(
        np.einsum("hwc,xw->hxc", image, weights(shape[1], size[1], kind)), 0, 255
    )  # Pillow does columns first
    expected = np.clip(np.einsum("yh,hxc->yxc", weights(shape[0], size[0], kind), rows), 0, 255)
    found = Transform(size, resize=kind).apply(image)
    assert found.dtype == np.uint8 and found.shape == (*size, shape[2])
    np.testing.assert_allclose(found, expected, atol=2)  # It rounds after each pass.


@pytest.mark.parametrize(
    "shape, size, window",
    [
        ((10, 20), (8, 8), (slice(0, 10), slice(5, 15))),
        ((20, 10), (8, 8), (slice(5, 15), slice(0, 10))),
        ((21, 10), (8, 8), (slice(5, 15), slice(0, 10))),
        ((30, 30), (4, 6), (slice(5, 25), slice(0, 30))),
        ((30, 30), (6, 4), (slice(0, 30), slice(5, 25))),
        ((1, 99), (99, 1), (slice(0, 1), slice(49, 50))),
    ],
)
def test_crop_takes_the_largest_window_of_the_aspect_about_the_centre(shape, size, window):
    image = random(*shape)
    cropped = Transform(size, crop="center", resize="lanczos").apply(image)
    np.testing.assert_array_equal(cropped, Transform(size, resize="lanczos").apply(image[window]))


def test_crop_without_a_filter_takes_the_window_of_the_size():
    image = random(10, 13)
    crop = Transform((4, 6), crop="center")
    np.testing.assert_array_equal(crop.apply(image), image[3:7, 3:9])
    with pytest.raises(ImageError, match=r"a\.png: the image is 10x5 pixels.*data\.crop='center': at least 4x6"):
        crop.apply(random(10, 5), "a.png")


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"resize": "box"}, [False, True, True, False]),
        ({"resize": "box", "crop": "center"}, [False] * 4),
        ({"crop": "center"}, [False] * 4),
        ({}, [False] * 4),
    ],
)
def test_images_of_another_aspect_are_stretched(options, expected):
    transform = Transform((40, 60), **options)
    assert [transform.stretches(*shape) for shape in ((20, 30), (30, 20), (201, 306), (201, 300))] == expected


def test_nothing_to_do_gives_the_image_itself():
    image = random(4, 6)
    for transform in (Transform(), Transform((4, 6), 3), Transform((4, 6), 3, "center", "box")):
        assert transform.apply(image) is image


def test_image_of_another_size_is_refused_without_crop_and_filter():
    with pytest.raises(
        ImageError, match=r"a\.png: the image is 4x6 pixels \(height x width\); allowed: 4x4 .*data\.res"
    ):
        Transform((4, 4)).apply(random(4, 6), "a.png")


def test_grey_to_colours_and_back():
    grey = random(3, 5, 1)
    rgb = Transform(channels=3).apply(grey)
    np.testing.assert_array_equal(rgb, np.repeat(grey, 3, axis=2))
    np.testing.assert_array_equal(Transform(channels=1).apply(rgb), grey)
    np.testing.assert_array_equal(Transform(channels=4).apply(grey), np.dstack([rgb, np.full((3, 5), 255, np.uint8)]))
    np.testing.assert_allclose(
        Transform(channels=1).apply(random(3, 5)), random(3, 5) @ [[0.299], [0.587], [0.114]], atol=0.51
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_shown_on_white(channels):
    image = random(3, 5, 4)
    alpha = image[..., 3:] / 255
    expected = image[..., :3] * alpha + 255 * (1 - alpha)
    if channels == 1:
        expected = expected @ [[0.299], [0.587], [0.114]]
    np.testing.assert_allclose(Transform(channels=channels).apply(image), expected, atol=1.01)


def test_transparent_pixels_do_not_bleed_when_resized():
    image = np.zeros((4, 4, 4), np.uint8)
    image[:, :2] = (200, 100, 50, 255)  # The transparent half is black.
    found = Transform((2, 1), resize="box").apply(image)
    np.testing.assert_allclose(found[0, 0], (200, 100, 50, 128), atol=1)


@pytest.mark.parametrize(
    "transform", [Transform(), Transform((2, 3), 1, "center", "lanczos"), Transform((8, 4), 4, resize="box")]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_shape_says_what_apply_gives_and_a_picture_gives_the_same(transform, channels):
    image = random(5, 7, channels)
    found = transform.apply(image)
    assert found.shape == transform.shape(image.shape, "x")
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    np.testing.assert_array_equal(transform.apply_to_picture(picture), found)


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"channels": 2}, r"channels: found 2, allowed: 1, 3, 4 or None"),
        ({"size": (4, 4), "crop": "centre"}, r"config\.data\.crop: found 'centre', allowed: none, center"),
        ({"size": (4, 4), "resize": "bicubic"}, r"config\.data\.resize: found 'bicubic', allowed: none, lanczos, box"),
        (
            {"crop": "center"},
            r"config\.data\.crop: found 'center', allowed: 'none', because config\.data\.resolution is unset",
        ),
        (
            {"resize": "box"},
            r"config\.data\.resize: found 'box', allowed: 'none', because config\.data\.resolution is unset",
        ),
    ],
)
def test_impossible_transform(fields, problem):
    with pytest.raises(ValueError, match=problem):
        Transform(**fields)
