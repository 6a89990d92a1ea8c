"""What can be wrong with one file of a set."""


class ImageError(ValueError):
    """An image that cannot be used; the message names it and says why. data.on_error says what then happens."""


class SizeError(ImageError):
    """A whole image, of a size that is not taken."""


class MixedSetError(ValueError):
    """Images that do not make one set; the message names two. Which of them to leave out is not ours to say."""


class StorageError(ValueError):
    """A file that the storage does not deliver; the message names it. It may come back, so it is never skipped."""


def shown(path: str) -> str:
    """A path as it can be printed: line breaks, other control characters and bytes that are no text are escaped."""
    if path.isprintable():
        return path
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in path)
