"""A writer of array_record sets that resumes after the last image on record if it is killed.

A file of records cannot be extended once its writer is closed. The images of each file therefore wait in a buffer until
the file is full.
"""

import os
import pathlib
from collections.abc import Iterable

from flaxgan.data.conversion.journal import Row
from flaxgan.data.conversion.record_buffer import RecordBuffer
from flaxgan.data.formats import records
from flaxgan.data.formats.manifest import Label, Shard

SHARD_BYTES = 1 << 30


class RecordSetWriter:
    """A writer of a set. Each file ends with the image that makes it at least `shard_bytes` long.

    Args:
      folder: folder that receives the set, as "set", and the buffers.
      rows: the images that an earlier writer has committed there; the rest of its work is dropped.
      shard_bytes: size of the images in each file, in bytes.

    Raises:
      ValueError: if committed work is missing.
    """

    def __init__(self, folder: pathlib.Path, rows: Iterable[Row], shard_bytes: int = SHARD_BYTES) -> None:
        self.path = folder / "set"
        self.path.mkdir(exist_ok=True)
        self._shard_bytes = shard_bytes
        self._counts, (num_images, self._num_bytes) = _counts(rows, shard_bytes)
        self._waiting: list[RecordBuffer] = []  # Buffers of the files from number `self._num_files` on.
        self._drop_unknown()
        try:
            self._num_files = self._found()
            for shard in range(self._num_files, len(self._counts)):
                self._waiting.append(RecordBuffer(self._buffer_path(shard), self._counts[shard]))
            self._buffer = self._reopened(num_images)
        except ValueError as error:
            self._close(self._waiting)
            raise ValueError(f"{error}; delete {folder} and start again") from error
        self._counts.append(num_images)

    def add(self, row: Row, image: bytes, label: Label) -> None:
        """Adds an image."""
        if self._num_bytes >= self._shard_bytes:
            self._waiting.append(self._buffer)
            self._buffer = RecordBuffer(self._buffer_path(len(self._counts)))
            self._counts.append(0)
            self._num_bytes = 0
        self._buffer.add(records.Record(row.name, label, image).to_bytes())
        self._counts[-1] += 1
        self._num_bytes += len(image)

    def commit(self) -> None:
        """Flushes all images added so far to the disk."""
        for buffer in (*self._waiting, self._buffer):
            buffer.commit()

    def settle(self, *, is_last: bool = False) -> None:
        """Writes the full files, whose images must be on record by now; with `is_last`, the last file, too."""
        if is_last and self._counts[-1]:
            self._waiting.append(self._buffer)
            self._buffer = RecordBuffer(self._buffer_path(len(self._counts)))
            self._counts.append(0)
            self._num_bytes = 0
        while self._waiting:
            self._write(self._waiting[0])
            self._waiting.pop(0).remove()
            self._num_files += 1

    def shards(self) -> tuple[Shard, ...]:
        """Returns the files written so far."""
        names = [_name(shard) for shard in range(self._num_files)]
        return tuple(Shard(name, count, (self.path / name).stat().st_size) for name, count in zip(names, self._counts))

    def finish(self, files: dict[str, bytes]) -> None:
        """Writes the other files of the set."""
        for name, data in files.items():
            (self.path / name).write_bytes(data)
            _sync(self.path / name)

    def close(self) -> None:
        """Closes all files, whether or not the set is finished."""
        self._close([*self._waiting, self._buffer])

    def _write(self, buffer: RecordBuffer) -> None:
        partial = self.path.parent / "partial.array_record"
        writer = records.RecordWriter(str(partial))
        try:
            for data in buffer.records():
                writer.write(records.from_bytes(data, str(buffer.path)))
        finally:
            writer.close()
        _sync(partial)
        os.replace(partial, self.path / _name(self._num_files))

    def _found(self) -> int:
        """Returns the number of files that an earlier writer has written, and deletes their buffers."""
        for shard in range(len(self._counts)):
            buffer = self._buffer_path(shard)
            if (self.path / _name(shard)).exists():
                buffer.unlink(missing_ok=True)
            elif buffer.exists():
                return shard
            else:
                raise ValueError(f"{self.path / _name(shard)}: is missing")
        return len(self._counts)

    def _reopened(self, num_images: int) -> RecordBuffer:
        """Reopens the buffer of the last file with its first `num_images` images."""
        shard = len(self._counts)
        path, written = self._buffer_path(shard), self.path / _name(shard)
        if not written.exists():
            return RecordBuffer(path, num_images)
        # The file was written as the last one. More images may follow now that an unusable image has been repaired.
        buffer = RecordBuffer(path)
        try:
            file = records.RecordFile(str(written))
            for index in range(num_images):
                buffer.add(file.read(index))
            buffer.commit()
        except BaseException:
            buffer.close()
            raise
        written.unlink()
        return buffer

    def _drop_unknown(self) -> None:
        """Deletes all files that do not belong to the images on record."""
        names = {_name(shard) for shard in range(len(self._counts) + 1)}
        buffers = {self._buffer_path(shard) for shard in range(len(self._counts) + 1)}
        paths = [path for path in self.path.iterdir() if path.name not in names]
        for path in (*paths, *(path for path in self.path.parent.glob("spool-*") if path not in buffers)):
            path.unlink()

    def _buffer_path(self, shard: int) -> pathlib.Path:
        return self.path.parent / f"spool-{shard:05d}"

    @staticmethod
    def _close(buffers: Iterable[RecordBuffer]) -> None:
        for buffer in buffers:
            buffer.close()


def _name(shard: int) -> str:
    return f"images-{shard:05d}.array_record"


def _counts(rows: Iterable[Row], shard_bytes: int) -> tuple[list[int], tuple[int, int]]:
    """Returns the number of images in each full file, then number and bytes of the images in the last file."""
    counts: list[int] = []
    num_images = num_bytes = 0
    for row in rows:
        if row.skipped is None:
            num_images += 1
            num_bytes += row.num_bytes
        if num_bytes >= shard_bytes:
            counts.append(num_images)
            num_images = num_bytes = 0
    return counts, (num_images, num_bytes)


def _sync(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
