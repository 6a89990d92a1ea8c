import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flaxgan.data import images


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def random_image(mode: str, size: tuple[int, int] = (6, 4)) -> Image.Image:
    channels = len(mode)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode if channels > 1 else None)


@pytest.mark.parametrize(
    "mode, channels, kind",
    [("L", 1, "PNG"), ("RGB", 3, "PNG"), ("RGBA", 4, "PNG"), ("RGB", 3, "WEBP"), ("RGBA", 4, "WEBP")],
)
def test_lossless_formats_give_back_the_pixels(mode, channels, kind):
    image = random_image(mode)
    data = saved(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    assert images.header_shape(data, "x") == (4, 6, channels)
    pixels = images.decode(data, "x", (4, 6, channels))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(image).reshape(4, 6, channels))


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3)])
def test_jpeg(mode, channels):
    image = Image.new(mode, (16, 8), (200,) * channels if channels > 1 else 200)
    pixels = images.decode(saved(image, "JPEG", quality=95), "x", (8, 16, channels))
    np.testing.assert_allclose(pixels, 200, atol=2)


def test_two_level_image_becomes_grey():
    bits = np.array([[True, False, True]])
    np.testing.assert_array_equal(images.decode(saved(Image.fromarray(bits)), "x", (1, 3, 1)), bits[..., None] * 255)


def test_palette_is_applied():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(images.decode(saved(palette), "x", (1, 2, 3)), [[[10, 20, 30], [40, 50, 60]]])
    transparent = saved(palette, transparency=1)
    assert images.header_shape(transparent, "x") == (1, 2, 4)
    np.testing.assert_array_equal(images.decode(transparent, "x", (1, 2, 4))[..., 3], [[255, 0]])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_orientation_noted_by_a_camera_is_applied(kind):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # white left half; turned by a quarter clockwise (6), the white half is at the top
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(pixels), kind, exif=exif)
    assert images.header_shape(data, "x") == (32, 16, 3)
    turned = images.decode(data, "x", (32, 16, 3))
    assert turned[:12].min() > 240 and turned[20:].max() < 15


def test_wrong_size_names_file_field_found_and_allowed():
    with pytest.raises(images.ImageError, match=r"a/b\.png: .*4x6 pixels .*allowed: 8x6 \(data\.resolution.*resize"):
        images.decode(saved(random_image("RGB")), "a/b.png", (8, 6, 3))


def test_wrong_channels_names_file_field_found_and_allowed():
    with pytest.raises(
        images.ImageError, match=r"a/b\.png: .*1 channel \(grey\); allowed: 3 channels \(RGB\) \(data\.ch"
    ):
        images.decode(saved(random_image("L")), "a/b.png", (4, 6, 3))


def with_header(png: bytes, offset: int, value: bytes) -> bytes:
    """A PNG file with some bytes of its header replaced and the header's checksum corrected."""
    header = png[:offset] + value + png[offset + len(value) : 29]
    return header + struct.pack(">I", zlib.crc32(header[12:])) + png[33:]


def damaged(data: bytes) -> bytes:
    return data[:60] + bytes(len(data) - 60)


PNG = saved(random_image("RGB", (64, 64)))
JPEG = saved(random_image("RGB", (64, 64)), "JPEG")


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"", "the file is empty"),
        (b"hello", "not a PNG, JPEG or WebP image"),
        (PNG[:20], "a.png"),
        (PNG[: len(PNG) // 2], "cannot be decoded"),
        (damaged(PNG), "a.png"),
        (JPEG[: len(JPEG) // 2], "cannot be decoded"),
        (saved(random_image("RGB", (64, 64)), "BMP"), "not a PNG, JPEG or WebP image"),
        (saved(random_image("CMYK", (64, 64)), "JPEG"), r"unsupported kind of image \(mode CMYK\); allowed: 8-bit"),
        (saved(Image.new("LA", (64, 64))), r"unsupported kind of image \(mode LA\)"),
        (saved(Image.fromarray(np.zeros((64, 64), np.uint16))), r"unsupported kind of image \(16 bits a channel\)"),
    ],
)
def test_unusable_file_is_named(data, problem):
    with pytest.raises(images.ImageError, match=problem) as error:
        images.decode(data, "folder/a.png", (64, 64, 3))
    assert "folder/a.png" in str(error.value)


def test_16_bit_colour_is_refused_although_pillow_opens_it():
    data = with_header(PNG, 24, bytes([16]))
    assert Image.open(io.BytesIO(data)).mode == "RGB"
    with pytest.raises(images.ImageError, match="x: .*16 bits a channel"):
        images.decode(data, "x", (64, 64, 3))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation_is_refused(kind):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(images.ImageError, match="x: .*animation"):
        images.decode(data, "x", (8, 8, 3))


def test_image_of_absurd_size_is_refused_without_decoding_it():
    data = with_header(PNG, 16, struct.pack(">II", 1 << 20, 1 << 20))
    with pytest.raises(images.ImageError, match="x: the image's header cannot be read .*exceeds limit"):
        images.header_shape(data, "x")
