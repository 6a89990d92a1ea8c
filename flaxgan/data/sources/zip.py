"""ZIP archives of PNG, JPEG or WebP images, stored or deflated, with an optional dataset.json (the StyleGAN format).

The directory of the archive is read once. Afterwards every read is positioned (`flaxgan.data.formats.storage`) and
shares no seek position, so any number of threads may read at once without a lock.
"""

import dataclasses
import os
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import NamedTuple

from etils import epath

from flaxgan.data import field_checks
from flaxgan.data.errors import ImageError, shown
from flaxgan.data.formats import image_files, labels, manifest, storage
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source

LAYOUT = (
    "a ZIP archive (stored or deflated) of PNG, JPEG or WebP images (config.data.source='zip'), "
    'with an optional dataset.json at its top: {"labels": [["name.png", 0], ...]}'
)

_HEAD_BYTES = 1 << 16
_MAX_FILE_BYTES = 1 << 28
_HEADER_ROOM_BYTES = 1 << 9
_ENCRYPTED_FLAG = 0x1
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # Signature, then lengths of the name and the extra field.
_LOCAL_SIGNATURE = b"PK\x03\x04"


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens a ZIP archive of images; see `flaxgan.data.open_source`.

    Folders inside the archive are not classes: labels come only from dataset.json, as in the StyleGAN format. Hidden
    files and files that are not images are ignored.
    """
    field_checks.check_image_channels(request.channels)
    archive = open_archive(path)
    found = archive.manifest()
    if found is not None:
        _check_manifest(archive, found)
    found_labels = None if request.num_classes == 0 else _labels(archive, request, found)
    return image_files.open_files(archive, found_labels, request, found)


def open_archive(path: str | os.PathLike[str]) -> "ZipFiles":
    """Opens an archive with at least one image.

    Raises:
      FieldError: if the path is not such an archive.
      ValueError: if a file of the archive is not allowed.
      FileNotFoundError: if there is nothing at the path.
    """
    absolute = field_checks.existing_path(path, LAYOUT)
    if absolute.is_dir():
        raise field_checks.path_error(path, "a folder (config.data.source='folder' reads folders)", LAYOUT)
    if not absolute.is_file():
        raise field_checks.path_error(path, "which is not a file", LAYOUT)
    archive = ZipFiles(str(absolute))
    if not archive.names:
        found = image_files.ignored(archive.num_ignored) if archive.num_ignored else "it is empty"
        raise field_checks.path_error(path, f"which has no images ({found})", LAYOUT)
    return archive


class Entry(NamedTuple):
    """Position and size of one file in an archive."""

    name: str
    header_offset: int
    compressed_bytes: int
    file_bytes: int
    is_deflated: bool
    checksum: int


class ZipFiles:
    """The image files of a ZIP archive; see `flaxgan.data.formats.image_files.Files`."""

    def __init__(self, path: str) -> None:
        self._file = storage.open_file(path)
        entries = _entries(path, self._file.size)
        self.path = path
        self.names, self.num_ignored = image_files.split_names(list(entries))
        self._entries = entries

    def __reduce__(self) -> tuple:
        # An open file does not travel between processes: another process opens the archive again.
        return ZipFiles, (self.path,)

    def read(self, index: int) -> bytes:
        """Reads a whole image file."""
        return self._read(self._entries[self.names[index]])

    def head(self, index: int) -> bytes:
        """Reads the start of an image file."""
        return self._read(self._entries[self.names[index]], _HEAD_BYTES)

    def where(self, index: int) -> str:
        """Returns the name of an image in messages."""
        return shown(f"{self.path}: {self.names[index]}")

    def read_labels(self) -> bytes | None:
        """Reads the bytes of dataset.json; None if there is no such file."""
        labels.check_place(list(self._entries), self.path)
        entry = self._entries.get(labels.FILE_NAME)
        return None if entry is None else self._read(entry)

    def manifest(self) -> manifest.Manifest | None:
        """Reads the manifest of an archive that `flaxgan dataset` has made; None if there is none."""
        entry = self._entries.get(manifest.FILE_NAME)
        if entry is None:
            return None
        data = self._read(entry)
        return manifest.from_json(data, f"{self.path}: {entry.name}") if manifest.is_manifest(data) else None

    def _read(self, entry: Entry, limit_bytes: int | None = None) -> bytes:
        where = shown(f"{self.path}: {entry.name}")
        wanted = min(entry.compressed_bytes, limit_bytes or entry.compressed_bytes)
        # One read for header and data, because each request to a bucket is slow; the header holds its own length.
        room = min(_HEADER_ROOM_BYTES + wanted, self._file.size - entry.header_offset)
        start = self._file.read_at(entry.header_offset, max(room, _LOCAL_HEADER.size), where)
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(start)
        if signature != _LOCAL_SIGNATURE:
            raise ImageError(f"{where}: the archive is damaged: there is no file where its directory says")
        header_bytes = _LOCAL_HEADER.size + name_bytes + extra_bytes
        data = start[header_bytes : header_bytes + wanted]
        if len(data) < wanted:
            data = self._file.read_at(entry.header_offset + header_bytes, wanted, where)
        if entry.is_deflated:
            data = _inflated(data, min(entry.file_bytes, limit_bytes or entry.file_bytes), where)
        if limit_bytes is None and (len(data) != entry.file_bytes or zlib.crc32(data) != entry.checksum):
            raise ImageError(f"{where}: the archive is damaged: the file's size or checksum is wrong")
        return data


def _entries(path: str, archive_bytes: int) -> dict[str, Entry]:
    """Returns all files of an archive that are not hidden, by name."""
    entries = {}
    for info in _directory(path):
        where = f"{path}: {info.filename!r}"
        if _leads_outside(info.filename):
            raise ValueError(f"{where} leads outside the archive; allowed: relative names without '..'")
        if info.is_dir() or image_files.is_hidden(info.filename):
            continue
        if info.filename in entries:
            raise ValueError(f"{where} occurs twice; allowed: one file of each name")
        if image_files.is_image(info.filename) or info.filename in (labels.FILE_NAME, manifest.FILE_NAME):
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


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return ".." in path.parts or path.is_absolute()


def _directory(path: str) -> list[zipfile.ZipInfo]:
    is_archive = storage.read_start(path, len(_LOCAL_SIGNATURE)) == _LOCAL_SIGNATURE
    try:
        with epath.Path(path).open("rb") as file, zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except Exception as error:  # A damaged directory raises anything.
        problem = "a damaged ZIP archive, perhaps cut short" if is_archive else "which is not a ZIP archive"
        raise field_checks.path_error(path, f"{problem} ({error})", LAYOUT) from error


def _check_readable(info: zipfile.ZipInfo, archive_bytes: int, where: str) -> None:
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise ValueError(f"{where} is encrypted; allowed: archives without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{where} uses compression method {info.compress_type}; allowed: 0 (stored), 8 (deflated)")
    largest = max(info.file_size, info.compress_size)
    if largest > _MAX_FILE_BYTES:
        raise ValueError(f"{where} has {largest:,} bytes; allowed: up to {_MAX_FILE_BYTES:,}")
    if not 0 <= info.header_offset <= archive_bytes - info.compress_size:
        raise ValueError(f"{where} lies beyond the archive's end; the archive is damaged, perhaps cut short")


def _inflated(data: bytes, max_bytes: int, where: str) -> bytes:
    # The bound prevents a file with a wrong size from filling the memory.
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes) if max_bytes else b""
    except zlib.error as error:
        raise ImageError(f"{where}: the archive is damaged ({error})") from error


def _check_manifest(archive: ZipFiles, found: manifest.Manifest) -> None:
    where = f"{archive.path}: {manifest.FILE_NAME}"
    if found.count != len(archive.names):
        raise ValueError(f"{where} says {found.count:,} images, but the archive holds {len(archive.names):,}")
    try:
        shape = image_files.header_shape(archive, 0)
    except ImageError:
        return  # data.on_error decides what follows.
    if shape != found.shape:
        raise ValueError(f"{where} says images of {found.shape}, but {archive.names[0]} is {shape}")


def _labels(archive: ZipFiles, request: ImageSpec, found: manifest.Manifest | None) -> labels.Labels | None:
    data = archive.read_labels()
    if data is None:
        return None
    where = f"{archive.path}: {labels.FILE_NAME}"
    numbered = labels.from_json(data, archive.names, request=request, where=where)
    if numbered is None or found is None:
        return numbered
    if len(numbered.class_names) > len(found.class_names):
        raise ValueError(f"{where}: has {len(numbered.class_names)} classes; {manifest.FILE_NAME} names fewer")
    return dataclasses.replace(numbered, class_names=found.class_names)
