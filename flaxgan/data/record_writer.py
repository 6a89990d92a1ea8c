"""Writes an array_record set, file by file, so that a killed writer's successor goes on after the last whole file."""

import os
import pathlib
from collections.abc import Iterable

from flaxgan.data.journal import Row
from flaxgan.data.manifest import Label, Shard
from flaxgan.data.records import Record, RecordWriter

SHARD_BYTES = 1 << 30


class RecordSetWriter:
    """A set in the making, whose files end at the first image that makes them `shard_bytes` long.

    Args:
      folder: where it is written, as the folder "set".
      rows: what an earlier writer has written there for good; the rest of its work is dropped.
      shard_bytes: images' bytes in each file.

    Raises:
      ValueError: if what it has written is not there any more.
    """

    def __init__(self, folder: pathlib.Path, rows: Iterable[Row], shard_bytes: int = SHARD_BYTES):
        self.path = folder / "set"
        self.path.mkdir(exist_ok=True)
        self._shard_bytes = shard_bytes
        self._counts = _counts(rows, shard_bytes)
        self._writer: RecordWriter | None = None
        self._num_bytes = self._num_images = 0
        missing = [name for name in map(_name, range(len(self._counts))) if not (self.path / name).exists()]
        if missing:
            raise ValueError(f"{self.path / missing[0]}: is missing; delete {folder} and start again")

    def add(self, row: Row, image: bytes, label: Label) -> bool:
        """Adds an image.

        Returns:
          Whether it is time to `commit`.
        """
        if self._writer is None:
            self._writer = RecordWriter(str(self._partial))
        self._writer.write(Record(row.name, label, image))
        self._num_bytes += len(image)
        self._num_images += 1
        return self._num_bytes >= self._shard_bytes

    def commit(self) -> None:
        """Ends the file that is being written, if any, and brings it onto the disk."""
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        _sync(self._partial)
        os.replace(self._partial, self.path / _name(len(self._counts)))
        self._counts.append(self._num_images)
        self._num_bytes = self._num_images = 0

    def shards(self) -> tuple[Shard, ...]:
        """The files written so far."""
        names = map(_name, range(len(self._counts)))
        return tuple(Shard(name, count, (self.path / name).stat().st_size) for name, count in zip(names, self._counts))

    def finish(self, files: dict[str, bytes]) -> None:
        """Adds the files that go beside the images."""
        self.commit()
        for name, data in files.items():
            (self.path / name).write_bytes(data)
            _sync(self.path / name)

    def close(self) -> None:
        """Closes the set, finished or not."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _partial(self) -> pathlib.Path:
        return self.path.parent / "partial.array_record"


def _name(shard: int) -> str:
    return f"images-{shard:05d}.array_record"


def _counts(rows: Iterable[Row], shard_bytes: int) -> list[int]:
    """Images in each file that holds these rows."""
    counts, num_images, num_bytes = [], 0, 0
    for row in rows:
        if row.skipped is None:
            num_images += 1
            num_bytes += row.num_bytes
        if num_bytes >= shard_bytes:
            counts.append(num_images)
            num_images = num_bytes = 0
    return [*counts, num_images] if num_images else counts


def _sync(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
