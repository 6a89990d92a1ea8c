"""Checks and corrections of PNG files beyond Pillow: damaged or missing pixels, and metadata read late or wrongly.

References:
  Portable Network Graphics (PNG) Specification, third edition, W3C.
"""

import io
import zlib
from collections.abc import Iterator

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from flaxgan.data.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_GREY, _RGB = 0, 2
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, for each colour type
_WHOLE = ((0, 0, 1, 1),)
# First column and row, then steps between columns and rows, for each pass (Adam7).
_INTERLACED = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE_BYTES = 1 << 20
_CRC_OF_IDAT = zlib.crc32(b"IDAT")


class PngFile(PngImageFile):
    """A PNG file as Pillow opens it, with corrected metadata.

    PNG gives a transparent grey or colour in the depth of the file. EXIF data may follow the pixels, where Pillow finds
    them only after it has read the pixels.

    Args:
      file: bytes of the file, as far as they have been read.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._contents = list(_chunks(file.getvalue()))
        header = self._header()
        depth, kind = header[8], header[9]
        transparent = self.info.get("transparency")
        if kind == _GREY and depth in (2, 4) and isinstance(transparent, int):
            self.info["transparency"] = transparent * (255 // (2**depth - 1))
        elif kind == _RGB and depth == 16 and isinstance(transparent, tuple):
            self.info["transparency"] = tuple(value >> 8 for value in transparent)
        if "exif" not in self.info:
            for name, content, _ in self._contents:
                if name == b"eXIf":
                    self.info["exif"] = b"Exif\x00\x00" + bytes(content)

    def check_checksums(self, where: str) -> None:
        """Raises ImageError if the checksum of the pixels is wrong, which Pillow ignores."""
        for name, content, checksum in self._contents:
            if name == b"IDAT" and zlib.crc32(content, _CRC_OF_IDAT) != checksum:
                raise ImageError(f"{where}: the image is damaged: the checksum of its pixels is wrong")

    def check_whole(self, where: str) -> None:
        """Raises ImageError if the decoded file holds fewer pixels than its header declares.

        Pillow leaves the missing last rows at 0.
        """
        rows = range(max(0, self.height - 2), self.height)
        if not all(_is_filled(self, row) for row in rows) and self._num_bytes() < _expected_bytes(self._header()):
            raise ImageError(f"{where}: the image is damaged: it holds fewer pixels than its header says")

    def _header(self) -> memoryview:
        """Returns width and height, 4 bytes each, then depth, colour type, compression, filter and interlace."""
        return next(content for name, content, _ in self._contents if name == b"IHDR")

    def _num_bytes(self) -> int:
        """Returns the number of bytes of filtered pixels in the file."""
        decoder, count = zlib.decompressobj(), 0
        for name, content, _ in self._contents:
            rest = content if name == b"IDAT" else b""
            while rest and not decoder.eof:
                count += len(decoder.decompress(rest, _PIECE_BYTES))
                rest = decoder.unconsumed_tail
        return count


def _is_filled(image: Image.Image, row: int) -> bool:
    """Returns whether a row has a nonzero pixel. The last pixel usually decides, and is fast to read."""
    last = image.getpixel((image.width - 1, row))
    if any(last) if isinstance(last, tuple) else last:
        return True
    return any(image.crop((0, row, image.width, row + 1)).tobytes())


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yields (name, content, checksum) of each complete chunk before the one that ends the image."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        name = data[position + 4 : position + 8]
        if end + 4 > len(data) or not name.isalpha() or name == b"IEND":
            return
        yield name, memoryview(data)[position + 8 : end], int.from_bytes(data[end : end + 4])
        position = end + 4


def _expected_bytes(header: memoryview) -> int:
    """Returns the bytes of filtered pixels that a header declares: each row is one byte and its packed pixels."""
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = header[8] * _SAMPLES[header[9]]
    count = 0
    for left, top, step_x, step_y in _INTERLACED if header[12] else _WHOLE:
        columns, rows = -((left - width) // step_x), -((top - height) // step_y)
        if columns > 0 and rows > 0:
            count += rows * (1 + -(-columns * bits // 8))
    return count
