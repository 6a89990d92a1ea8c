"""A buffer on disk for records of a file that is written in one pass; it survives a killed writer."""

import os
import pathlib
import struct
from collections.abc import Iterator

_LENGTH = struct.Struct("<Q")


class RecordBuffer:
    """A file of records, each preceded by its length, that records are appended to.

    Args:
      path: the file; it is created if it does not exist.
      count: number of records to keep; the rest of the file is cut off.

    Raises:
      ValueError: if the file holds fewer records.
    """

    def __init__(self, path: pathlib.Path, count: int = 0) -> None:
        self.path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        size = self._file.seek(0, os.SEEK_END)
        end = self._end(count, size)
        if end > size:
            self._file.close()
            raise ValueError(f"{path}: is shorter than it was")
        self._file.truncate(end)
        self._file.seek(end)

    def add(self, data: bytes) -> None:
        """Adds a record."""
        self._file.write(_LENGTH.pack(len(data)))
        self._file.write(data)

    def commit(self) -> None:
        """Flushes all records to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def records(self) -> Iterator[bytes]:
        """Yields all records in order; no record can be added until the last one has been read."""
        self._file.flush()
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        while self._file.tell() < end:
            (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
            yield self._file.read(length)

    def close(self) -> None:
        """Closes the file and keeps it."""
        self._file.close()

    def remove(self) -> None:
        """Closes the file and deletes it."""
        self.close()
        self.path.unlink()

    def _end(self, count: int, size: int) -> int:
        """Returns the end of the first `count` records; if the file is too short, a position beyond its end."""
        end = 0
        for _ in range(count):
            if end + _LENGTH.size > size:
                return size + 1
            self._file.seek(end)
            end += _LENGTH.size + _LENGTH.unpack(self._file.read(_LENGTH.size))[0]
        return end
