"""What can be wrong with one file of a set."""


class ImageError(ValueError):
    """An image that cannot be used; the message names it and says why. data.on_error says what then happens."""


class StorageError(ValueError):
    """A file that the storage does not deliver; the message names it. It may come back, so it is never skipped."""
