"""Folders of PNG, JPEG or WebP images. Sub-folders are classes in sorted order, unless a dataset.json has labels."""

import dataclasses
import os
from pathlib import Path

from etils import epath

from flaxgan.data import field_checks
from flaxgan.data.errors import shown
from flaxgan.data.formats import image_files, labels, storage
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source
from flaxgan.errors import FieldError, Words

LAYOUT = (
    "a folder of PNG, JPEG or WebP images (config.data.source='folder'). Sub-folders are classes, "
    'or a dataset.json at the top holds {"labels": [["name.png", 0], ...]}'
)

_HEAD_BYTES = 1 << 16
_MAX_DEPTH = 500  # of nested folders


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens a folder of images; see `flaxgan.data.open_source`.

    Images below the first level belong to the class of their first folder. Hidden files, files that are not images, and
    sub-folders without images are ignored.
    """
    field_checks.check_image_channels(request.channels)
    root = field_checks.existing_path(path, LAYOUT)
    if not root.is_dir():
        raise field_checks.path_error(path, "a file (config.data.source='zip' reads ZIP archives)", LAYOUT)
    all_names = list(storage.names_below(root)) if field_checks.is_remote(root) else _walk(root, "", ())
    names, num_ignored = image_files.split_names(all_names)
    if not names:
        found = image_files.ignored(num_ignored) if num_ignored else "it is empty"
        raise field_checks.path_error(path, f"which has no images ({found})", LAYOUT)
    listing = FolderFiles(path=str(root), names=names, num_ignored=num_ignored)
    found_labels = None
    if request.num_classes != 0:
        labels.check_place(all_names, str(root))
        found_labels = _labels(root, names, request)
    return image_files.open_files(listing, found_labels, request)


@dataclasses.dataclass(frozen=True)
class FolderFiles:
    """The image files under a folder; see `flaxgan.data.formats.image_files.Files`."""

    path: str
    names: tuple[str, ...]
    num_ignored: int

    def read(self, index: int) -> bytes:
        """Reads a whole image file."""
        return storage.read_all(self._place(index))

    def head(self, index: int) -> bytes:
        """Reads the start of an image file."""
        return storage.read_start(self._place(index), _HEAD_BYTES)

    def where(self, index: int) -> str:
        """Returns the name of an image in messages."""
        return shown(self._place(index))

    def _place(self, index: int) -> str:
        return f"{self.path}/{self.names[index]}"


def _labels(root: Path | epath.Path, names: tuple[str, ...], request: ImageSpec) -> labels.Labels | None:
    path = root / labels.FILE_NAME
    if path.exists():
        where = os.fspath(path)
        if not path.is_file():
            allowed = "a file of labels, or config.data.num_classes=0 to ignore labels"
            raise ValueError(f"{where}: is not a file; allowed: {allowed}")
        data = storage.read_start(where, labels.max_bytes(len(names)) + 1)
        return labels.from_json(data, names, request=request, where=where)
    return labels.from_folders(names, str(root))


def _walk(folder: Path, prefix: str, ancestors: tuple[tuple[int, int], ...]) -> list[str]:
    """Returns the names of all files below a folder that are not hidden, each with the prefix."""
    status = folder.stat()
    device_inode = (status.st_dev, status.st_ino)
    if device_inode in ancestors:
        raise field_checks.path_error(folder, "which links to a folder that contains it", "links without a loop")
    if len(ancestors) == _MAX_DEPTH:
        found = Words(f"{prefix[:80]!r}... with more than {_MAX_DEPTH} nested folders")
        raise FieldError("config.data.path", found, f"up to {_MAX_DEPTH} of them")
    names: list[str] = []
    for entry in _entries(folder):
        if entry.is_dir():
            names += _walk(folder / entry.name, f"{prefix}{entry.name}/", (*ancestors, device_inode))
        elif entry.is_file() or not image_files.is_image(entry.name):
            names.append(prefix + entry.name)
        else:
            raise field_checks.path_error(entry.path, "a broken link or a device", "files")
    return names


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not image_files.is_hidden(entry.name)]
    except OSError as error:
        raise field_checks.path_error(folder, f"which cannot be read ({error.strerror})", "readable folders") from error
