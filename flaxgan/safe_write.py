"""Writing files so that a kill or a full disk leaves either the new content or the old, and the file is named."""

from collections.abc import Iterator
from contextlib import contextmanager

from etils import epath


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file that is there as a whole or as it was before, whenever the program is killed."""
    part = path.with_name(f"{path.name}.part")
    with naming(path):
        part.write_text(text)
        part.replace(path)


@contextmanager
def naming(path: epath.Path) -> Iterator[None]:
    """Names a file, or the folder it is in, where it cannot be written to; Python does so on opening alone."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
