"""A ZIP archive of PNG, JPEG or WebP images, stored or deflated, with an optional dataset.json (the StyleGAN format).

The list of files is read once. Every read then is one positioned read of the archive (pread), which shares no seek
position, so any number of threads read at once without a lock.
"""

import os
import struct
import weakref
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from flaxgan.data import fields, files, labels
from flaxgan.data.errors import ImageError, StorageError
from flaxgan.data.request import Request
from flaxgan.data.source import Source

LAYOUT = (
    "data.source='zip' reads a ZIP archive (stored or deflated) of PNG, JPEG or WebP images that all have one size, "
    'with an optional dataset.json at its top: {"labels": [["name.png", 0], ...]}'
)

_HEAD_BYTES = 1 << 16
_MAX_FILE_BYTES = 1 << 28
_ENCRYPTED_FLAG = 0x1
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of the name and of the extra field
_LOCAL_SIGNATURE = b"PK\x03\x04"


def open(path: str | os.PathLike[str], request: Request) -> Source:
    """Opens a ZIP archive of images; see `flaxgan.data.open_source`.

    Folders inside the archive are no classes: labels come from dataset.json alone, as in the StyleGAN format. Hidden
    files and files that are no images are ignored.
    """
    fields.check_image_channels(request.channels)
    absolute = fields.existing_path(path, LAYOUT)
    if not absolute.is_file():
        raise ValueError(f"data.path={os.fspath(path)!r} is a folder (data.source='folder' reads those). {LAYOUT}")
    archive = ZipFiles(str(absolute))
    if not archive.names:
        found = f"{archive.num_ignored:,} other files" if archive.num_ignored else "it is empty"
        raise ValueError(f"data.path={os.fspath(path)!r} has no images ({found}). {LAYOUT}")
    found_labels = None if request.num_classes == 0 else _labels(archive, request)
    return files.open_files(archive, found_labels, request)


class Entry(NamedTuple):
    """Where one file lies in an archive."""

    name: str
    header_offset: int
    compressed_bytes: int
    file_bytes: int
    is_deflated: bool
    checksum: int


class ZipFiles:
    """The image files of a ZIP archive; see `flaxgan.data.files.Files`."""

    def __init__(self, path: str):
        entries = _entries(path)
        self.path = path
        self.names, self.num_ignored = files.split_names(list(entries))
        self._entries = entries
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple:
        # An open file does not travel between processes: the archive is opened again there.
        return ZipFiles, (self.path,)

    def read(self, index: int) -> bytes:
        return self._read(self._entries[self.names[index]])

    def head(self, index: int) -> bytes:
        return self._read(self._entries[self.names[index]], _HEAD_BYTES)

    def where(self, index: int) -> str:
        return f"{self.path}: {self.names[index]}"

    def read_labels(self) -> bytes | None:
        """The bytes of dataset.json, or None where there is none."""
        labels.check_place(list(self._entries), self.path)
        entry = self._entries.get(labels.FILE_NAME)
        return None if entry is None else self._read(entry)

    def _read(self, entry: Entry, limit_bytes: int | None = None) -> bytes:
        where = f"{self.path}: {entry.name}"
        header = self._bytes_at(entry.header_offset, _LOCAL_HEADER.size, where)
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        if signature != _LOCAL_SIGNATURE:
            raise ImageError(f"{where}: the archive is damaged: there is no file where its directory says")
        offset = entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        data = self._bytes_at(offset, min(entry.compressed_bytes, limit_bytes or entry.compressed_bytes), where)
        if entry.is_deflated:
            data = _inflated(data, min(entry.file_bytes, limit_bytes or entry.file_bytes), where)
        if limit_bytes is None and (len(data) != entry.file_bytes or zlib.crc32(data) != entry.checksum):
            raise ImageError(f"{where}: the archive is damaged: the file's size or checksum is wrong")
        return data

    def _bytes_at(self, offset: int, count: int, where: str) -> bytes:
        try:
            data = os.pread(self._descriptor, count, offset)
        except OSError as error:
            raise StorageError(f"{where}: cannot be read from the archive ({error})") from error
        if len(data) < count:
            raise ImageError(f"{where}: the archive ends before the file does; it may have been cut short")
        return data


def _entries(path: str) -> dict[str, Entry]:
    """All files of an archive that are not hidden, by name."""
    archive_bytes = os.path.getsize(path)
    entries = {}
    for info in _directory(path):
        where = f"{path}: {info.filename!r}"
        if info.filename.startswith("/") or ".." in PurePosixPath(info.filename).parts:
            raise ValueError(f"{where} leads outside the archive; allowed: relative names without '..'")
        if info.is_dir() or files.is_hidden(info.filename):
            continue
        if info.filename in entries:
            raise ValueError(f"{where} occurs twice; allowed: one file of each name")
        if files.is_image(info.filename) or info.filename == labels.FILE_NAME:
            _check_readable(info, archive_bytes, where)
        entries[info.filename] = Entry(
            name=info.filename,
            header_offset=info.header_offset,
            compressed_bytes=info.compress_size,
            file_bytes=info.file_size,
            is_deflated=info.compress_type == zipfile.ZIP_DEFLATED,
            checksum=info.CRC,
        )
    return entries


def _directory(path: str) -> list[zipfile.ZipInfo]:
    try:
        with Path(path).open("rb") as file:
            is_archive = file.read(len(_LOCAL_SIGNATURE)) == _LOCAL_SIGNATURE
    except OSError as error:
        raise ValueError(f"data.path={path!r} cannot be read ({error.strerror}). {LAYOUT}") from error
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except Exception as error:  # a damaged directory raises anything
        problem = "is a damaged ZIP archive, perhaps cut short" if is_archive else "is not a ZIP archive"
        raise ValueError(f"data.path={path!r} {problem} ({error}). {LAYOUT}") from error


def _check_readable(info: zipfile.ZipInfo, archive_bytes: int, where: str) -> None:
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise ValueError(f"{where} is encrypted; allowed: archives without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{where} uses compression method {info.compress_type}; allowed: 0 (stored), 8 (deflated)")
    if info.file_size > _MAX_FILE_BYTES:
        raise ValueError(f"{where} has {info.file_size:,} bytes; allowed: up to {_MAX_FILE_BYTES:,}")
    if not 0 <= info.header_offset <= archive_bytes - info.compress_size:
        raise ValueError(f"{where} lies beyond the archive's end; the archive is damaged, perhaps cut short")


def _inflated(data: bytes, max_bytes: int, where: str) -> bytes:
    # The bound keeps a file that lies about its size from filling the memory.
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes) if max_bytes else b""
    except zlib.error as error:
        raise ImageError(f"{where}: the archive is damaged ({error})") from error


def _labels(archive: ZipFiles, request: Request) -> labels.Labels | None:
    data = archive.read_labels()
    if data is None:
        return None
    where = f"{archive.path}: {labels.FILE_NAME}"
    return labels.from_json(data, archive.names, request=request, where=where)
