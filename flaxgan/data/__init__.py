"""Training images: their sources, and the batches that are made of them."""

import os
from typing import Any

from flaxgan import lookup
from flaxgan.data import sources
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source
from flaxgan.errors import FieldError


def open_source(name: str, path: str | os.PathLike[str], **wanted: Any) -> Source:
    """Opens the images of a recipe.

    Args:
      name: name of a module of `flaxgan.data.sources`, e.g. "folder".
      path: where the images lie; empty for sources that bring their own images.
      **wanted: fields of `flaxgan.data.image_spec.ImageSpec`, e.g. resolution; the data decide the other fields.

    Returns:
      The opened source, after all checks that are cheap.

    Raises:
      FieldError: if a value is not allowed, or the data disagree with it.
      ValueError: if a file cannot be used; the message names it.
      FileNotFoundError: if there is nothing at the path.
    """
    names = lookup.module_names(sources)
    if name not in names:
        raise FieldError("config.data.source", name, ", ".join(names))
    return lookup.module(sources, name).open(path, ImageSpec(**wanted))
