"""The journal of a conversion: one line of JSON for each committed image, from which a killed conversion resumes."""

import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Row:
    """The result of converting one image.

    Attributes:
      index: index of the image in the source.
      name: name of the new file; "" if the image is skipped.
      num_bytes: length of the file.
      checksum: CRC-32 of the file.
      sha256: SHA-256 of the file in hexadecimal.
      skipped: the problem of an image that cannot be used; None for a usable image.
    """

    index: int
    name: str = ""
    num_bytes: int = 0
    checksum: int = 0
    sha256: str = ""
    skipped: str | None = None


class Journal:
    """A file of rows in order. All rows are on the disk before `append` returns.

    Args:
      path: the file; an incomplete last line of a killed process is cut off.
    """

    def __init__(self, path: pathlib.Path) -> None:
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
        """Adds rows and flushes them to the disk."""
        rows = list(rows)
        self._file.write(b"".join(json.dumps(dataclasses.astuple(row)).encode() + b"\n" for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows += rows

    def cut(self, count: int) -> None:
        """Drops all rows after the first `count`."""
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
