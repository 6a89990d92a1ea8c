"""What a conversion has done for good, one line of JSON for each image: a killed one goes on from there."""

import itertools
import json
import os
import pathlib
from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """What has become of one image of the source.

    Attributes:
      index: its place in the source.
      name: the name of its file in the new set; "" where it is skipped.
      num_bytes: the length of that file.
      checksum: the CRC-32 of that file.
      sha256: the SHA-256 of that file in hexadecimal.
      skipped: why the image could not be used; None where it could.
    """

    index: int
    name: str = ""
    num_bytes: int = 0
    checksum: int = 0
    sha256: str = ""
    skipped: str | None = None


class Journal:
    """A file of rows, in order; each is on the disk before `append` returns.

    Args:
      path: the file; what a killed process left of its last line is cut off.
    """

    def __init__(self, path: pathlib.Path):
        self.rows: list[Row] = []
        self._file = path.open("a+b")
        self._file.seek(0)
        whole = 0
        for line in self._file:
            row = _row(line, len(self.rows))
            if row is None:
                break
            self.rows.append(row)
            whole += len(line)
        self._file.truncate(whole)

    def append(self, rows: Iterable[Row]) -> None:
        """Adds rows, and brings them onto the disk."""
        rows = list(rows)
        self._file.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows += rows

    def cut(self, count: int) -> None:
        """Drops all rows behind the first `count`."""
        self._file.seek(0)
        self._file.truncate(sum(map(len, itertools.islice(self._file, count))))
        os.fsync(self._file.fileno())
        del self.rows[count:]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _row(line: bytes, index: int) -> Row | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = Row(*json.loads(line))
    except (ValueError, TypeError):
        return None
    return row if row.index == index else None
