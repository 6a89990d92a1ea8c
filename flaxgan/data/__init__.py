"""Training images: where they come from, and the batches they are served in."""

import os
from typing import Any

from flaxgan import lookup
from flaxgan.data import sources
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source


def open_source(name: str, path: str | os.PathLike[str], **wanted: Any) -> Source:
    """Opens the images that a recipe asks for.

    Args:
      name: name of a module of `flaxgan.data.sources`, e.g. "folder".
      path: where the images are; empty for sources that bring their own.
      **wanted: fields of `flaxgan.data.image_spec.ImageSpec`, e.g. resolution; those not given leave it to the data.

    Returns:
      The opened source. Everything that is cheap to check about it has been checked.

    Raises:
      ValueError: if a value is not allowed or the data does not agree with it; the message names the field or file.
      FileNotFoundError: if there is nothing at the path.
    """
    names = lookup.module_names(sources)
    if name not in names:
        raise ValueError(f"data.source={name!r} is unknown; allowed: {', '.join(names)}")
    return lookup.module(sources, name).open(path, ImageSpec(**wanted))
