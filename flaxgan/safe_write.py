"""Atomic writing of files: after a kill or on a full disk a file has either its new or its old content."""

from collections.abc import Iterator
from contextlib import contextmanager

from etils import epath


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file atomically: if the program is killed, the file has either its new or its old content.

    Raises:
      OSError: if the file cannot be written; the error names the file.
    """
    part = path.with_name(f"{path.name}.part")
    with naming(path):
        part.write_text(text)
        part.replace(path)


@contextmanager
def naming(path: epath.Path) -> Iterator[None]:
    """Adds the path of a file to every OSError of the block; Python does so only for errors of opening."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
