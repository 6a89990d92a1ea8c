"""Access to files on disks and in buckets (gs://, s3://, az://, hf://), in pieces and from many threads at once."""

import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from etils import epath

from flaxgan.data.errors import ImageError, StorageError
from flaxgan.data.field_checks import is_remote, path_error


def names_below(folder: epath.Path) -> Iterator[str]:
    """Yields the names of all files below a folder of a bucket, relative to the folder.

    Raises:
      FieldError: if the folder cannot be listed.
    """
    top = _without_scheme(folder)
    try:
        for place, _, files in folder.walk():
            inner = _without_scheme(place).removeprefix(top).strip("/")
            yield from (f"{inner}/{name}" if inner else name for name in files if name)
    except Exception as error:  # Clients of buckets raise anything.
        raise path_error(folder, f"which cannot be listed ({error})", "a readable folder") from error


def read_start(path: str, limit_bytes: int) -> bytes:
    """Reads the first bytes of a file, or the whole file if it is shorter.

    Raises:
      StorageError: if the file cannot be read.
    """
    if not is_remote(path):
        return _read_local(path, limit_bytes)
    file = open_file(path)
    return file.read_at(0, min(limit_bytes, file.size), path)


def read_all(path: str) -> bytes:
    """Reads a whole file.

    Raises:
      StorageError: if the file cannot be read.
    """
    if not is_remote(path):
        return _read_local(path, -1)
    try:
        return epath.Path(path).read_bytes()
    except Exception as error:  # Clients of buckets raise anything.
        raise StorageError(f"{path}: the file cannot be read ({error})") from error


def open_file(path: str) -> "LocalFile | RemoteFile":
    """Opens a file that many threads read in pieces at once.

    Raises:
      StorageError: if the file cannot be opened.
    """
    return RemoteFile(path) if is_remote(path) else LocalFile(path)


class LocalFile:
    """A file on a disk. Each read is one positioned read (pread), so readers share no seek position.

    Attributes:
      size: size of the file in bytes.
    """

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise StorageError(f"{path}: the file cannot be read ({error.strerror})") from error
        weakref.finalize(self, os.close, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, count: int, where: str) -> bytes:
        """Reads `count` bytes at an offset.

        Raises:
          StorageError: if the storage does not deliver the bytes.
          ImageError: if the file ends before them.
        """
        try:
            data = os.pread(self._descriptor, count, offset)
            while data and len(data) < count:  # One call reads at most 2 GiB, or what a network disk delivers.
                more = os.pread(self._descriptor, count - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise StorageError(f"{where}: cannot be read ({error.strerror})") from error
        return _whole(data, count, where)


class RemoteFile:
    """A file in a bucket. Each read requests only its own bytes.

    Attributes:
      size: size of the file in bytes.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened = threading.local()
        try:
            file = self._file()
            self.size = file.seek(0, os.SEEK_END)
        except Exception as error:  # Clients of buckets raise anything.
            raise StorageError(f"{path}: the file cannot be opened ({error})") from error

    def read_at(self, offset: int, count: int, where: str) -> bytes:
        """Reads `count` bytes at an offset; see `LocalFile.read_at`."""
        from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]  # It has no type information.

        if not count:
            return b""
        try:
            file = self._file()
            if isinstance(file, AbstractBufferedFile):  # Reads of a buffered file would fetch megabytes ahead.
                data = file.fs.cat_file(file.path, start=offset, end=offset + count)
            else:
                file.seek(offset)
                data = file.read(count)
        except Exception as error:  # Clients of buckets raise anything.
            raise StorageError(f"{where}: cannot be read ({error})") from error
        return _whole(data, count, where)

    def _file(self) -> IO[bytes]:
        """Returns this thread's own open file, because an open file has one seek position."""
        if not hasattr(self._opened, "file"):
            self._opened.file = epath.Path(self._path).open("rb")
        return self._opened.file


def _whole(data: bytes, count: int, where: str) -> bytes:
    if len(data) < count:
        raise ImageError(f"{where}: the archive ends before the file does; it may have been cut short")
    return data


def _without_scheme(path: os.PathLike[str]) -> str:
    return os.fspath(path).split("://")[-1].strip("/")


def _read_local(path: str, limit_bytes: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(limit_bytes)
    except OSError as error:
        raise StorageError(f"{path}: the file cannot be read ({error.strerror})") from error
