"""The fingerprint of a set of images, which does not depend on where the set lies."""

import hashlib
from typing import Any

from flaxgan.data.source import Source


def dataset_fingerprint(source: Source) -> dict[str, Any]:
    """Returns the number, shape and labels of the images, digests of their file names, and how the set was converted.

    Returns:
      Values that JSON can hold; digests are SHA-256. Entries that do not apply to the source are left out.
    """
    found: dict[str, Any] = {"images": len(source), "shape": list(source.image_shape), "classes": source.num_classes}
    if source.labels is not None:
        found["labels"] = hashlib.sha256(source.labels.tobytes()).hexdigest()
    return found | dict(source.details)
