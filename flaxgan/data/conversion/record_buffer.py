"""Where images wait that belong into a file which is written in one go: the successor of a killed writer finds them."""

import os
import pathlib
import struct
from collections.abc import Iterator

_LENGTH = struct.Struct("<Q")


class Spool:
    """A file of records, each behind its length, which is added to.

    Args:
      path: the file; it is made where it does not exist.
      count: records in it that count; what follows them is cut off.

    Raises:
      ValueError: if it holds fewer.
    """

    def __init__(self, path: pathlib.Path, count: int = 0):
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
        """Brings all records onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def records(self) -> Iterator[bytes]:
        """All records, in order; until the last one is read, none can be added."""
        self._file.flush()
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        while self._file.tell() < end:
            (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
            yield self._file.read(length)

    def close(self) -> None:
        """Closes the file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Closes the file and deletes it."""
        self.close()
        self.path.unlink()

    def _end(self, count: int, size: int) -> int:
        """Where the first records end; of a file that is too short, somewhere beyond its end."""
        end = 0
        for _ in range(count):
            if end + _LENGTH.size > size:
                return size + 1
            self._file.seek(end)
            end += _LENGTH.size + _LENGTH.unpack(self._file.read(_LENGTH.size))[0]
        return end
