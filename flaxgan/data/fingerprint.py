"""What tells a set of images from another one, wherever it lies."""

import hashlib
from typing import Any

from flaxgan.data.source import Source


def identity(source: Source) -> dict[str, Any]:
    """Number, shape and labels of a source's images, the names of its files, and how `flaxgan dataset` made the set.

    Returns:
      Values that JSON keeps; digests are SHA-256. What a source does not have is left out.
    """
    found: dict[str, Any] = {"images": len(source), "shape": list(source.image_shape), "classes": source.num_classes}
    if source.labels is not None:
        found["labels"] = hashlib.sha256(source.labels.tobytes()).hexdigest()
    return found | dict(source.details)
