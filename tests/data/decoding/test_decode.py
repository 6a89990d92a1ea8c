import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flaxgan.data.decoding import decode
from flaxgan.data.decoding.transform import Transform


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
    assert decode.header_shape(data, "x") == (4, 6, channels)
    pixels = decode.decode(data, "x")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(image).reshape(4, 6, channels))


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3)])
def test_jpeg(mode, channels):
    image = Image.new(mode, (16, 8), (200,) * channels if channels > 1 else 200)
    pixels = decode.decode(saved(image, "JPEG", quality=95), "x")
    assert pixels.shape == (8, 16, channels)
    np.testing.assert_allclose(pixels, 200, atol=2)


def shown(data: bytes) -> np.ndarray:
    """What a file is decoded to, whose shape the header must have announced."""
    pixels = decode.decode(data, "x")
    assert pixels.dtype == np.uint8 and decode.header_shape(data, "x") == pixels.shape
    return pixels


def test_two_level_image_becomes_grey():
    bits = np.array([[True, False, True]])
    np.testing.assert_array_equal(shown(saved(Image.fromarray(bits))), bits[..., None] * 255)


def test_palette_is_applied():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(shown(saved(palette)), [[[10, 20, 30], [40, 50, 60]]])
    for transparency, alpha in ((1, [255, 0]), (bytes([255, 100]), [255, 100])):
        transparent = shown(saved(palette, transparency=transparency))
        np.testing.assert_array_equal(transparent, [[[10, 20, 30, alpha[0]], [40, 50, 60, alpha[1]]]])


@pytest.mark.parametrize("mode, color", [("L", 7), ("RGB", (7, 8, 9))])
def test_transparent_colour_gives_an_alpha_channel(mode, color):
    image = Image.new(mode, (2, 1), color)
    image.putpixel((1, 0), 200 if mode == "L" else (200, 201, 202))
    pixels = shown(saved(image, transparency=color))
    np.testing.assert_array_equal(pixels[0, :, 3], [0, 255])
    np.testing.assert_array_equal(pixels[0, 1, :3], [200, 200, 200] if mode == "L" else [200, 201, 202])


def test_grey_with_alpha_becomes_rgba():
    image = Image.new("LA", (1, 1), (100, 30))
    np.testing.assert_array_equal(shown(saved(image)), [[[100, 100, 100, 30]]])


def test_of_16_bits_the_upper_8_are_kept():
    values = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
    np.testing.assert_array_equal(shown(saved(Image.fromarray(values)))[0, :, 0], [0, 0, 1, 0x12, 0xFF])
    np.testing.assert_array_equal(
        shown(saved(Image.fromarray(values), transparency=256))[0, :, 3], [255, 255, 0, 255, 255]
    )


@pytest.mark.parametrize("color_type, channels", [(2, 3), (4, 2), (6, 4)])
def test_16_bits_of_colour_likewise(color_type, channels):
    values = np.random.default_rng(0).integers(0, 2**16, (3, 5, channels)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 5, 3, 16, color_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    upper = (values >> 8).astype(np.uint8)
    np.testing.assert_array_equal(shown(png), upper[..., [0, 0, 0, 1]] if channels == 2 else upper)


def test_cmyk_becomes_rgb():
    for color, allowed in (
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ):
        pixels = shown(saved(Image.new("CMYK", (16, 16), color), "JPEG", quality=95))
        np.testing.assert_allclose(pixels[8, 8], allowed, atol=4)


def test_of_several_pictures_in_a_jpeg_the_first_is_taken():
    pictures = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    data = saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    np.testing.assert_allclose(shown(data)[8, 8], (255, 0, 0), atol=4)


def noted(orientation: int, kind: str) -> bytes:
    """An image whose white part, as it is shown upright, is the upper left quarter, saved as a camera would."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255
    sides = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1)}
    sides |= {6: np.rot90(upright), 7: np.rot90(upright.swapaxes(0, 1), 2), 8: np.rot90(upright, 3)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(np.ascontiguousarray(sides[orientation])), kind, exif=exif)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_noted_by_a_camera_is_applied(orientation, kind):
    pixels = shown(noted(orientation, kind))
    assert pixels.shape == (16, 32, 3)
    assert pixels[:6, :14].min() > 230 and pixels[10:].max() < 25 and pixels[:, 18:].max() < 25


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_note_of_a_camera_is_ignored():
    data = saved(random_image("RGB", (16, 8)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert shown(data).shape == (8, 16, 3)


def test_wrong_size_names_file_field_found_and_allowed():
    message = r"a/b\.png: .*4x6 pixels .*allowed: 8x6 \(config\.data\.resolution.*resize"
    with pytest.raises(decode.ImageError, match=message):
        decode.decode(saved(random_image("RGB")), "a/b.png", Transform((8, 6)))


def test_transform_is_applied_to_the_upright_image():
    pixels = decode.decode(noted(6, "PNG"), "x", Transform((4, 8), 1, "center", "box"))
    assert pixels.shape == (4, 8, 1)
    np.testing.assert_array_equal(pixels[..., 0], np.pad(np.full((2, 4), 255), ((0, 2), (0, 4))))


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
        (PNG[:300] + b"\1" + PNG[301:], "the checksum of its pixels is wrong"),
        (JPEG[: len(JPEG) // 2], "cannot be decoded"),
        (saved(random_image("RGB", (64, 64)), "BMP"), "not a PNG, JPEG or WebP image"),
        (with_header(PNG, 16, struct.pack(">II", 1 << 20, 1 << 20)), "declares 1048576x1048576 pixels; allowed"),
        (with_header(PNG, 16, struct.pack(">II", 0, 64)), "a.png"),
    ],
    ids=["empty", "text", "short", "cut", "damaged", "flipped", "jpeg", "bmp", "bomb", "flat"],
)
def test_unusable_file_is_named(data, problem):
    with pytest.raises(decode.ImageError, match=problem) as error:
        decode.decode(data, "folder/a.png")
    assert "folder/a.png" in str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation_is_refused(kind):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    for read in (decode.decode, decode.header_shape):
        with pytest.raises(decode.ImageError, match="x: .*animation"):
            read(data, "x")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_random_damage_gives_pixels_or_an_image_error(kind):
    whole = np.frombuffer(saved(random_image("RGB", (24, 16)), kind), np.uint8)
    random = np.random.default_rng(0)
    for _ in range(60):
        data = whole[: random.integers(len(whole) // 2, len(whole) + 1)].copy()
        data[random.integers(0, len(data), 3)] = random.integers(0, 256, 3)
        try:
            pixels = decode.decode(data.tobytes(), "x.img")
        except decode.ImageError as error:
            assert "x.img" in str(error) and "\n" not in str(error)
            continue
        assert pixels.dtype == np.uint8 and pixels.ndim == 3
