"""A folder of PNG, JPEG or WebP images. Sub-folders are classes in sorted order, unless a dataset.json has labels."""

import dataclasses
import os
from pathlib import Path

from flaxgan.data import field_checks
from flaxgan.data.errors import shown
from flaxgan.data.formats import image_files, labels, storage
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source

LAYOUT = (
    "data.source='folder' reads a folder of PNG, JPEG or WebP images. Sub-folders are classes, "
    'or a dataset.json at the top holds {"labels": [["name.png", 0], ...]}'
)

_HEAD_BYTES = 1 << 16
_MAX_DEPTH = 500  # of folders in folders


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens a folder of images; see `flaxgan.data.open_source`.

    Images deeper than one level belong to the class of their first folder. Hidden files and files that are no images
    are ignored; so are sub-folders without images.
    """
    field_checks.check_image_channels(request.channels)
    root = field_checks.existing_path(path, LAYOUT)
    if not root.is_dir():
        raise ValueError(f"data.path={os.fspath(path)!r} is a file (data.source='zip' reads ZIP archives). {LAYOUT}")
    all_names = list(storage.names_below(root)) if field_checks.is_remote(root) else _walk(root, "", ())
    names, num_ignored = image_files.split_names(all_names)
    if not names:
        found = image_files.ignored(num_ignored) if num_ignored else "it is empty"
        raise ValueError(f"data.path={os.fspath(path)!r} has no images ({found}). {LAYOUT}")
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
        return storage.read_all(self._place(index))

    def head(self, index: int) -> bytes:
        return storage.read_start(self._place(index), _HEAD_BYTES)

    def where(self, index: int) -> str:
        return shown(self._place(index))

    def _place(self, index: int) -> str:
        return f"{self.path}/{self.names[index]}"


def _labels(root: Path, names: tuple[str, ...], request: ImageSpec) -> labels.Labels | None:
    path = root / labels.FILE_NAME
    if path.exists():
        where = os.fspath(path)
        if not path.is_file():
            raise ValueError(f"{where}: is no file; allowed: a file of labels, or data.num_classes=0 to ignore labels")
        data = storage.read_start(where, labels.max_bytes(len(names)) + 1)
        return labels.from_json(data, names, request=request, where=where)
    return labels.from_folders(names, str(root))


def _walk(folder: Path, prefix: str, ancestors: tuple[tuple[int, int], ...]) -> list[str]:
    """Names of all files below a folder that are not hidden, each with the prefix before it."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        raise ValueError(f"data.path: {str(folder)!r} links to a folder that it lies in; allowed: links without a loop")
    if len(ancestors) == _MAX_DEPTH:
        raise ValueError(f"data.path: {prefix[:80]!r}... leads through more than {_MAX_DEPTH} folders; allowed: fewer")
    names = []
    for entry in _entries(folder):
        if entry.is_dir():
            names += _walk(folder / entry.name, f"{prefix}{entry.name}/", (*ancestors, identity))
        elif entry.is_file() or not image_files.is_image(entry.name):
            names.append(prefix + entry.name)
        else:
            raise ValueError(f"data.path: {entry.path!r} is a broken link or a device; allowed: files")
    return names


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not image_files.is_hidden(entry.name)]
    except OSError as error:
        raise ValueError(f"data.path: {str(folder)!r} cannot be read ({error.strerror})") from error
