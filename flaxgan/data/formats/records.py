"""Records of array_record sets: each is a msgpack map of the name, the label and the file of one image."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgpack

from flaxgan.data.errors import ImageError, StorageError
from flaxgan.data.formats.manifest import Label

_DAMAGED = "Corrupted"  # Start of the array_record library's messages about damage.
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"  # For random access.
_READER_BUFFER_BYTES = 1 << 15
_WRITER_OPTIONS = "group_size:1,uncompressed"  # A read touches one image, and images are already compressed.


_T = TypeVar("_T")


class Record(NamedTuple):
    """An image in an array_record set.

    Attributes:
      name: file name of the image in a folder.
      label: a class, a vector or None.
      image: the bytes of a PNG, JPEG or WebP file.
    """

    name: str
    label: Label
    image: bytes

    def to_bytes(self) -> bytes:
        """Serializes the record."""
        return msgpack.packb(self._asdict())


def from_bytes(data: bytes, where: str) -> Record:
    """Reads a record that `Record.to_bytes` wrote.

    Args:
      data: the serialized record.
      where: name of the record in messages.

    Raises:
      ImageError: if the data are not such a record.
    """
    try:
        content = msgpack.unpackb(data)
    except Exception as error:  # Damaged bytes raise anything.
        raise ImageError(f"{where}: the record cannot be read; the file may be damaged or cut short") from error
    if not isinstance(content, dict) or not isinstance(content.get("image"), bytes):
        raise ImageError(f'{where}: the record has no image; allowed: a map with the entry "image", a file\'s bytes')
    return Record(str(content.get("name", "")), content.get("label"), content["image"])


class RecordFile:
    """A file of records. Any number of threads may read it at once.

    Args:
      path: a local file or an address that the array_record library supports (gs://).

    Raises:
      StorageError: if the file cannot be opened; the message names it.
    """

    def __init__(self, path: str) -> None:
        from array_record.python import array_record_module  # A compiled library that only these sets need.

        self.path = path
        try:
            self._reader = array_record_module.ArrayRecordReader(
                path, options=_READER_OPTIONS, file_reader_buffer_size=_READER_BUFFER_BYTES
            )
            self._count = self._reader.num_records()
        except RuntimeError as error:
            raise StorageError(f"{path}: the file cannot be opened ({error})") from error

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> bytes:
        """Reads the bytes of one record.

        Raises:
          ImageError: if the record is damaged.
          StorageError: if the storage does not deliver it.
        """
        where = f"{self.path}: record {index}"
        try:
            return self._reader.read([index])[0]
        except RuntimeError as error:
            raise read_error(where, error) from error


class RecordWriter:
    """Writes a file of records. The bytes of the file depend only on the records.

    Args:
      path: the local file to write.

    Raises:
      OSError: from any method, if the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        from array_record.python import array_record_module

        self.path = path
        self._writer = _checked(path, lambda: array_record_module.ArrayRecordWriter(path, _WRITER_OPTIONS))

    def write(self, record: Record) -> None:
        """Adds a record."""
        _checked(self.path, lambda: self._writer.write(record.to_bytes()))

    def close(self) -> None:
        """Completes the file."""
        _checked(self.path, self._writer.close)


def read_error(where: str, error: RuntimeError) -> ImageError | StorageError:
    """Converts an error of the array_record library: the record is damaged, or the storage does not deliver it.

    Args:
      where: name of the record in the message.
      error: error of the library.
    """
    if str(error).startswith(_DAMAGED):
        return ImageError(f"{where}: the file is damaged ({error})")
    return StorageError(f"{where}: cannot be read ({error})")


def _checked(path: str, call: Callable[[], _T]) -> _T:
    """Calls the array_record library; its errors become OSErrors that name the file."""
    try:
        return call()
    except RuntimeError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error
