"""Checks of the recipe's data fields that need no data."""

import os
from pathlib import Path

from etils import epath

CHANNEL_NAMES = {1: "grey", 3: "RGB", 4: "RGBA"}
SCHEMES = ("gs", "s3", "az", "hf")
"""Of the addresses that paths may be, beside files on this machine."""


def height_width(resolution: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """The field data.resolution as (height, width) in pixels, or None where it is unset."""
    if resolution is None:
        return None
    sides = tuple(resolution) if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"data.resolution={resolution!r}; allowed: a positive number of pixels, (height, width), or None for the "
            "data's own"
        )
    return sides


def check_image_channels(channels: int | None) -> None:
    """Raises ValueError unless the field data.channels is None or one that image files can have."""
    if channels is not None and channels not in CHANNEL_NAMES:
        choices = ", ".join(f"{count} ({name})" for count, name in CHANNEL_NAMES.items())
        raise ValueError(f"data.channels={channels!r}; allowed: {choices}, or None for the data's own")


def check_num_classes(num_classes: int | None) -> None:
    """Raises ValueError unless the field data.num_classes is None, 0 or positive."""
    if num_classes is not None and not (isinstance(num_classes, int) and num_classes >= 0):
        raise ValueError(
            f"data.num_classes={num_classes!r}; allowed: 0 (ignore labels), the number of classes, or None for the "
            "data's own"
        )


def check_no_path(path: str | os.PathLike[str] | None, source: str) -> None:
    """Raises ValueError if a path is given to a source that brings its own images."""
    if path:
        raise ValueError(f"data.path={os.fspath(path)!r}, but data.source={source!r} reads no files; allowed: empty")


def check_not_transformed(crop: str, resize: str, source: str) -> None:
    """Raises ValueError if a crop or a filter is asked of a source that makes images of the right size."""
    for name, value in (("crop", crop), ("resize", resize)):
        if value != "none":
            raise ValueError(f"data.{name}={value!r}; allowed for data.source={source!r}: 'none'")


def existing_path(path: str | os.PathLike[str] | None, layout: str) -> Path | epath.Path:
    """The field data.path as an absolute path, or as an address such as gs://bucket/folder, of something that exists.

    Args:
      path: the field's value.
      layout: a sentence that says how to lay out the data, for the message.

    Raises:
      ValueError: if the path is empty or may not be read.
      FileNotFoundError: if there is nothing there.
    """
    if not path:
        raise ValueError(f"data.path is empty. {layout}")
    absolute = _address(os.fspath(path)) if is_remote(path) else Path(os.path.expanduser(path)).absolute()
    try:
        exists = absolute.exists()
    except Exception as error:  # clients of buckets raise anything
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise ValueError(f"data.path={os.fspath(path)!r} cannot be read ({reason}). {layout}") from error
    if not exists:
        raise FileNotFoundError(f"data.path={os.fspath(path)!r} does not exist. {layout}")
    return absolute


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path is an address, such as gs://bucket/folder."""
    return "://" in os.fspath(path)


def _address(path: str) -> epath.Path:
    scheme = path.split("://")[0]
    if scheme not in SCHEMES:
        allowed = ", ".join(f"{name}://" for name in SCHEMES)
        raise ValueError(f"data.path={path!r}; allowed: a path on this machine, or one that begins with {allowed}")
    return epath.Path(path)
