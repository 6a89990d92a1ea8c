"""PNG files that Pillow reads otherwise than the specification says."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flaxgan.data.decoding import decode

GREY, RGB = 0, 2
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def random_pixels(height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)


def chunk(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(size: tuple[int, int], rows: bytes, *, depth=8, kind=RGB, interlaced=0, before=b"", after=b"") -> bytes:
    """A file of filtered rows, with chunks before and after its pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + chunk(b"IHDR", header) + before + pixels + after + chunk(b"IEND")


def rows_of(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def passes_of(pixels: np.ndarray) -> bytes:
    """The rows of an interlaced file (Adam7)."""
    steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [pixels[top::down, left::right] for top, left, down, right in steps]
    return b"".join(rows_of(part) for part in parts if part.size)


@pytest.mark.parametrize("rows", [6, 9, 11])
def test_fewer_rows_than_the_header_says(rows):
    pixels = random_pixels(12, 10)
    whole = decode.decode(png((10, 12), rows_of(pixels)), "x")
    np.testing.assert_array_equal(whole, pixels)
    with pytest.raises(decode.ImageError, match="x: the image is damaged: it holds fewer pixels than its header says"):
        decode.decode(png((10, 12), rows_of(pixels[:rows])), "x")


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (9, 13)])
def test_interlaced_files_hold_their_passes(size):
    pixels = random_pixels(size[1], size[0])
    pixels[size[1] // 2 :] = 0  # as missing ones would be
    data = passes_of(pixels)
    np.testing.assert_array_equal(decode.decode(png(size, data, interlaced=1), "x"), pixels)
    with pytest.raises(decode.ImageError, match="x: the image"):
        decode.decode(png(size, data[: -3 * size[0] - 1], interlaced=1), "x")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_transparent_grey_of_few_levels(depth):
    levels = np.arange(8) % 2**depth
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    row = b"\0" + int(bits, 2).to_bytes(depth)
    transparent = chunk(b"tRNS", struct.pack(">H", 1))
    found = decode.decode(png((8, 1), row, depth=depth, kind=GREY, before=transparent), "x")
    np.testing.assert_array_equal(found[0, :, 0], levels * 255 // (2**depth - 1))
    np.testing.assert_array_equal(found[0, :, 3], np.where(levels == 1, 0, 255))


def test_transparent_colour_of_16_bits():
    pixels = (random_pixels(4, 4).astype(int) * 256 + 7).astype(">u2")
    transparent = chunk(b"tRNS", pixels[1, 2].tobytes())
    found = decode.decode(png((4, 4), rows_of(pixels), depth=16, before=transparent), "x")
    np.testing.assert_array_equal(found[..., :3], pixels >> 8)
    assert found[1, 2, 3] == 0 and (found[..., 3] == 255).sum() == 15


def test_turned_by_a_note_behind_the_pixels():
    notes = Image.Exif()
    notes[0x0112] = 6
    pixels = random_pixels(4, 6)
    turned = png((6, 4), rows_of(pixels), after=chunk(b"eXIf", notes.tobytes().removeprefix(b"Exif\0\0")))
    assert decode.header_shape(turned, "x") == (6, 4, 3)
    np.testing.assert_array_equal(decode.decode(turned, "x"), np.rot90(pixels, -1))


def test_what_stands_behind_the_end_does_not_matter():
    pixels = random_pixels()
    data = png((8, 8), rows_of(pixels))
    for rest in (chunk(b"IDAT", b"x")[:-1] + b"?", bytes(10_000), b"\xff" * 100):
        np.testing.assert_array_equal(decode.decode(data + rest, "x"), pixels)


def test_header_behind_another_chunk():
    pixels = random_pixels()
    pixels[-1] = 0
    data = png((8, 8), rows_of(pixels))
    data = SIGNATURE + chunk(b"tEXt", b"a\0b") + data[len(SIGNATURE) :]
    np.testing.assert_array_equal(decode.decode(data, "x"), pixels)
