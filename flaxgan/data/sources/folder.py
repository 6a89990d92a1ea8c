"""A folder of PNG, JPEG or WebP images. Sub-folders are classes in sorted order, unless a dataset.json has labels."""

import dataclasses
import os
from pathlib import Path

from flaxgan.data import fields, files, labels
from flaxgan.data.source import Source

LAYOUT = (
    "data.source='folder' reads a folder of PNG, JPEG or WebP images that all have one size. Sub-folders are classes, "
    'or a dataset.json at the top holds {"labels": [["name.png", 0], ...]}'
)

_HEAD_BYTES = 1 << 16


def open(
    path: str | os.PathLike[str],
    *,
    resolution: int | tuple[int, int] | None,
    channels: int | None,
    num_classes: int | None,
) -> Source:
    """Opens a folder of images; see `flaxgan.data.open_source`.

    Images deeper than one level belong to the class of their first folder. Hidden files and files that are no images
    are ignored; so are sub-folders without images.
    """
    fields.check_all(resolution, channels, num_classes)
    root = fields.existing_path(path, LAYOUT)
    if not root.is_dir():
        raise ValueError(f"data.path={os.fspath(path)!r} is a file (data.source='zip' reads ZIP archives). {LAYOUT}")
    names, num_ignored = files.split_names(_walk(root, "", ()))
    if not names:
        found = f"{num_ignored:,} other files" if num_ignored else "it is empty"
        raise ValueError(f"data.path={os.fspath(path)!r} has no images ({found}). {LAYOUT}")
    listing = FolderFiles(path=str(root), names=names, num_ignored=num_ignored)
    found_labels = None if num_classes == 0 else _labels(root, names, num_classes)
    return files.open_files(listing, found_labels, resolution=resolution, channels=channels, num_classes=num_classes)


@dataclasses.dataclass(frozen=True)
class FolderFiles:
    """The image files under a folder; see `flaxgan.data.files.Files`."""

    path: str
    names: tuple[str, ...]
    num_ignored: int

    def read(self, index: int) -> bytes:
        return Path(self.where(index)).read_bytes()

    def head(self, index: int) -> bytes:
        with Path(self.where(index)).open("rb") as file:
            return file.read(_HEAD_BYTES)

    def where(self, index: int) -> str:
        return f"{self.path}/{self.names[index]}"


def _labels(root: Path, names: tuple[str, ...], num_classes: int | None) -> labels.Labels | None:
    json_path = root / labels.FILE_NAME
    if not json_path.exists():
        return labels.from_folders(names, str(root))
    found = labels.from_json(json_path.read_bytes(), names, str(json_path))
    if found is not None:
        labels.check_range(found, num_classes, names, str(json_path))
    return found


def _walk(folder: Path, prefix: str, ancestors: tuple[tuple[int, int], ...]) -> list[str]:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        raise ValueError(f"data.path: {str(folder)!r} links to a folder that it lies in; allowed: links without a loop")
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if files.is_hidden(entry.name):
                continue
            if entry.is_dir():
                names += _walk(folder / entry.name, f"{prefix}{entry.name}/", (*ancestors, identity))
            else:
                names.append(prefix + entry.name)
    return names
