"""Writes an array_record set, file by file, so that a killed writer's successor goes on after the last image on record.

A file of records cannot be added to once its writer is gone, so the images of each wait in a spool until it is full.
"""

import os
import pathlib
from collections.abc import Iterable

from flaxgan.data.conversion.journal import Row
from flaxgan.data.conversion.record_buffer import Spool
from flaxgan.data.formats import records
from flaxgan.data.formats.manifest import Label, Shard

SHARD_BYTES = 1 << 30


class RecordSetWriter:
    """A set in the making, whose files end at the first image that makes them `shard_bytes` long.

    Args:
      folder: where it is written, as the folder "set"; spools lie beside it.
      rows: what an earlier writer has written there for good; the rest of its work is dropped.
      shard_bytes: images' bytes in each file.

    Raises:
      ValueError: if what it has written is not there any more.
    """

    def __init__(self, folder: pathlib.Path, rows: Iterable[Row], shard_bytes: int = SHARD_BYTES):
        self.path = folder / "set"
        self.path.mkdir(exist_ok=True)
        self._shard_bytes = shard_bytes
        self._counts, (num_images, self._num_bytes) = _counts(rows, shard_bytes)
        self._waiting: list[Spool] = []  # of the files from number `self._num_files` on
        self._drop_unknown()
        try:
            self._num_files = self._found()
            for shard in range(self._num_files, len(self._counts)):
                self._waiting.append(Spool(self._spool_path(shard), self._counts[shard]))
            self._spool = self._reopened(num_images)
        except ValueError as error:
            self._close(self._waiting)
            raise ValueError(f"{error}; delete {folder} and start again") from error
        self._counts.append(num_images)

    def add(self, row: Row, image: bytes, label: Label) -> None:
        """Adds an image."""
        if self._num_bytes >= self._shard_bytes:
            self._waiting.append(self._spool)
            self._spool = Spool(self._spool_path(len(self._counts)))
            self._counts.append(0)
            self._num_bytes = 0
        self._spool.add(records.Record(row.name, label, image).to_bytes())
        self._counts[-1] += 1
        self._num_bytes += len(image)

    def commit(self) -> None:
        """Brings all images added so far onto the disk."""
        for spool in (*self._waiting, self._spool):
            spool.commit()

    def settle(self, *, is_last: bool = False) -> None:
        """Writes the files that are full, whose images must be on record by now; at the end, the last one, too."""
        if is_last and self._counts[-1]:
            self._waiting.append(self._spool)
            self._spool = Spool(self._spool_path(len(self._counts)))
            self._counts.append(0)
            self._num_bytes = 0
        while self._waiting:
            self._write(self._waiting[0])
            self._waiting.pop(0).remove()
            self._num_files += 1

    def shards(self) -> tuple[Shard, ...]:
        """The files written so far."""
        names = [_name(shard) for shard in range(self._num_files)]
        return tuple(Shard(name, count, (self.path / name).stat().st_size) for name, count in zip(names, self._counts))

    def finish(self, files: dict[str, bytes]) -> None:
        """Adds the files that go beside the images."""
        for name, data in files.items():
            (self.path / name).write_bytes(data)
            _sync(self.path / name)

    def close(self) -> None:
        """Closes the set, finished or not."""
        self._close([*self._waiting, self._spool])

    def _write(self, spool: Spool) -> None:
        partial = self.path.parent / "partial.array_record"
        writer = records.RecordWriter(str(partial))
        try:
            for data in spool.records():
                writer.write(records.from_bytes(data, str(spool.path)))
        finally:
            writer.close()
        _sync(partial)
        os.replace(partial, self.path / _name(self._num_files))

    def _found(self) -> int:
        """How many files an earlier writer has written; the spools of those are not needed any more."""
        for shard in range(len(self._counts)):
            spool = self._spool_path(shard)
            if (self.path / _name(shard)).exists():
                spool.unlink(missing_ok=True)
            elif spool.exists():
                return shard
            else:
                raise ValueError(f"{self.path / _name(shard)}: is missing")
        return len(self._counts)

    def _reopened(self, num_images: int) -> Spool:
        """The spool of the last file, with the images in it that count."""
        shard = len(self._counts)
        path, written = self._spool_path(shard), self.path / _name(shard)
        if not written.exists():
            return Spool(path, num_images)
        # It was written when it was thought to be whole. There may be more images now that an unusable one is repaired.
        spool = Spool(path)
        try:
            file = records.RecordFile(str(written))
            for index in range(num_images):
                spool.add(file.read(index))
            spool.commit()
        except BaseException:
            spool.close()
            raise
        written.unlink()
        return spool

    def _drop_unknown(self) -> None:
        """Deletes what does not belong to the images on record."""
        names = {_name(shard) for shard in range(len(self._counts) + 1)}
        spools = {self._spool_path(shard) for shard in range(len(self._counts) + 1)}
        paths = [path for path in self.path.iterdir() if path.name not in names]
        for path in (*paths, *(path for path in self.path.parent.glob("spool-*") if path not in spools)):
            path.unlink()

    def _spool_path(self, shard: int) -> pathlib.Path:
        return self.path.parent / f"spool-{shard:05d}"

    @staticmethod
    def _close(spools: Iterable[Spool]) -> None:
        for spool in spools:
            spool.close()


def _name(shard: int) -> str:
    return f"images-{shard:05d}.array_record"


def _counts(rows: Iterable[Row], shard_bytes: int) -> tuple[list[int], tuple[int, int]]:
    """Images in each full file that holds these rows; then number and bytes of those in the last, which is not full."""
    counts, num_images, num_bytes = [], 0, 0
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
