import random
import zlib

import pytest

from flaxgan.data import checksum


@pytest.mark.parametrize("count", [0, 1, 5119, 5120, 5121, 20_000, 65_536, 65_537, 200_000])
def test_is_that_of_zlib(count):
    data = random.Random(count).randbytes(count)
    assert checksum.crc32(data) == checksum.crc32(memoryview(data)) == zlib.crc32(data)
    assert checksum.crc32(data, zlib.crc32(b"IDAT")) == zlib.crc32(b"IDAT" + data)
