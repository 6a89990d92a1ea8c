"""Checks of the fields config.data.* that need no data."""

import os
from pathlib import Path

from etils import epath

from flaxgan.errors import FieldError, Words

CHANNEL_NAMES = {1: "grey", 3: "RGB", 4: "RGBA"}
SCHEMES = ("gs", "s3", "az", "hf")
"""Schemes of the addresses that a path may be; other paths are files on this machine."""


def height_width(resolution: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Returns config.data.resolution as (height, width) in pixels, or None if it is unset."""
    if resolution is None:
        return None
    sides = tuple(resolution) if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        allowed = "a positive number of pixels, (height, width), or None for the size of the data"
        raise FieldError("config.data.resolution", resolution, allowed)
    return sides


def check_image_channels(channels: int | None) -> None:
    """Checks that config.data.channels is None or a number of channels that image files can have."""
    if channels is not None and channels not in CHANNEL_NAMES:
        choices = ", ".join(f"{count} ({name})" for count, name in CHANNEL_NAMES.items())
        raise FieldError("config.data.channels", channels, f"{choices}, or None for the channels of the data")


def check_num_classes(num_classes: int | None) -> None:
    """Checks that config.data.num_classes is None, 0 or positive."""
    if num_classes is not None and not (isinstance(num_classes, int) and num_classes >= 0):
        allowed = "0 (ignore labels), the number of classes, or None for the classes of the data"
        raise FieldError("config.data.num_classes", num_classes, allowed)


def check_no_path(path: str | os.PathLike[str] | None, source: str) -> None:
    """Checks that config.data.path is empty, for a source that brings its own images."""
    if path:
        raise FieldError("config.data.path", os.fspath(path), f"'', because config.data.source={source!r} has no files")


def check_not_transformed(crop: str, resize: str, source: str) -> None:
    """Checks that neither a crop nor a filter is set, for a source that makes images of the right size."""
    for name, value in (("crop", crop), ("resize", resize)):
        if value != "none":
            raise FieldError(f"config.data.{name}", value, f"'none' with config.data.source={source!r}")


def path_error(path: str | os.PathLike[str], problem: str, layout: str) -> FieldError:
    """Returns the error of a config.data.path that cannot be used.

    Args:
      path: the value of the field, or a path below it.
      problem: what is wrong with the path, after a comma: "which does not exist".
      layout: the allowed files, for the message.
    """
    return FieldError("config.data.path", Words(f"{os.fspath(path)!r}, {problem}"), layout)


def existing_path(path: str | os.PathLike[str] | None, layout: str) -> Path | epath.Path:
    """Returns config.data.path as an absolute path, or as an address such as gs://bucket/folder.

    Args:
      path: the value of the field.
      layout: the allowed files, for the message.

    Raises:
      FieldError: if the path is empty or cannot be read.
      FileNotFoundError: if there is nothing at the path.
    """
    if not path:
        raise FieldError("config.data.path", "", layout)
    absolute = _address(os.fspath(path)) if is_remote(path) else Path(os.path.expanduser(path)).absolute()
    try:
        exists = absolute.exists()
    except Exception as error:  # Clients of buckets raise anything.
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise path_error(path, f"which cannot be read ({reason})", layout) from error
    if not exists:
        raise FileNotFoundError(str(path_error(path, "which does not exist", layout)))
    return absolute


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is an address, such as gs://bucket/folder."""
    return "://" in os.fspath(path)


def _address(path: str) -> epath.Path:
    scheme = path.split("://")[0]
    if scheme not in SCHEMES:
        allowed = ", ".join(f"{name}://" for name in SCHEMES)
        raise FieldError("config.data.path", path, f"a path on this machine, or an address that starts with {allowed}")
    return epath.Path(path)
