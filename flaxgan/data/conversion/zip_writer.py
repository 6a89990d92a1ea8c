"""A writer of ZIP archives in the StyleGAN layout that resumes after the last image on record if it is killed."""

import os
import pathlib
import zipfile
from collections.abc import Iterable

from flaxgan.data.conversion.journal import Row
from flaxgan.data.formats.manifest import Label, Shard

_DATE = (1980, 1, 1, 0, 0, 0)  # The bytes of the archive depend only on its content.
_UNIX = 3
_MODE = 0o644 << 16
_LOCAL_HEADER_BYTES = 30


class ZipWriter:
    """A writer of an archive, stored and not deflated, because images are already compressed.

    Args:
      folder: folder that receives the archive, as "set".
      rows: the images that an earlier writer has committed there; the rest of its work is cut off.

    Raises:
      ValueError: if committed work is missing.
    """

    def __init__(self, folder: pathlib.Path, rows: Iterable[Row]) -> None:
        self.path = folder / "set"
        infos = _infos(rows)
        end = sum(_LOCAL_HEADER_BYTES + len(info.filename) + info.file_size for info in infos)
        self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        if self._file.seek(0, os.SEEK_END) < end:
            self._file.close()
            raise ValueError(f"{self.path}: is shorter than it was; delete {folder} and start again")
        self._file.truncate(end)
        self._file.seek(end)
        self._archive = zipfile.ZipFile(self._file, "w")
        self._archive.infolist().extend(infos)  # The list that the directory of the archive is written from.

    def add(self, row: Row, image: bytes, label: Label) -> None:
        """Adds an image. Labels are written at the end."""
        self._write(row.name, image)

    def commit(self) -> None:
        """Flushes all images added so far to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def settle(self, *, is_last: bool = False) -> None:
        """Does nothing: committed images are already in their place."""

    def shards(self) -> tuple[Shard, ...]:
        """Returns no shards: an archive is one file."""
        return ()

    def finish(self, files: dict[str, bytes]) -> None:
        """Writes the other files of the set, and the directory of the archive."""
        for name, data in files.items():
            self._write(name, data)
        self._archive.close()
        self.commit()
        self.close()

    def close(self) -> None:
        """Closes the archive, whether or not it is finished."""
        self._archive.close()
        self._file.close()

    def _write(self, name: str, data: bytes) -> None:
        self._archive.writestr(_info(name), data)


def _infos(rows: Iterable[Row]) -> list[zipfile.ZipInfo]:
    infos: list[zipfile.ZipInfo] = []
    offset = 0
    for row in rows:
        if row.skipped is None:
            info = _info(row.name)
            info.file_size = info.compress_size = row.num_bytes
            info.CRC = row.checksum
            info.header_offset = offset
            offset += _LOCAL_HEADER_BYTES + len(info.filename) + info.file_size
            infos.append(info)
    return infos


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = _UNIX
    info.external_attr = _MODE
    return info
