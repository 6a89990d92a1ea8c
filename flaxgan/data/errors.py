"""Errors of single image files and of sets of files."""


class ImageError(ValueError):
    """An image that cannot be used. The message names the image and the reason; data.on_error decides what follows."""


class SizeError(ImageError):
    """An intact image of a size that is not allowed."""


class MixedSetError(ValueError):
    """Images that do not form one set. The message names two of them; the user decides which of them to leave out."""


class StorageError(ValueError):
    """A file that the storage does not deliver. The message names it. It may be back later, so it is never skipped."""


def shown(path: str) -> str:
    """Returns a path in printable form: control characters and undecodable bytes are escaped."""
    if path.isprintable():
        return path
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in path)
