"""The checksum of ZIP and PNG files, computed so that threads that decode side by side do not hinder each other."""

import zlib

_PIECE_BYTES = 5 * 1024
_LARGE_BYTES = 64 * 1024


def crc32(data: bytes | memoryview, start: int = 0) -> int:
    """`zlib.crc32`, which gives the GIL away for more than 5 KiB; to get it back costs more than that of a small file.

    Args:
      data: the bytes.
      start: the checksum of what lies before them.
    """
    if len(data) > _LARGE_BYTES:
        return zlib.crc32(data, start)
    view = memoryview(data)
    for position in range(0, len(data), _PIECE_BYTES):
        start = zlib.crc32(view[position : position + _PIECE_BYTES], start)
    return start
