"""Training images: where they come from, and the batches they are served in."""

import os

from flaxgan import lookup
from flaxgan.data import sources
from flaxgan.data.source import Source


def open_source(
    name: str,
    path: str | os.PathLike[str],
    *,
    resolution: int | tuple[int, int] | None,
    channels: int | None,
    num_classes: int | None,
) -> Source:
    """Opens the images that a recipe asks for.

    Args:
      name: name of a module of `flaxgan.data.sources`, e.g. "folder".
      path: where the images are; empty for sources that bring their own.
      resolution: pixels: a side length or (height, width); None takes the data's own.
      channels: 1 (grey), 3 (RGB) or 4 (RGBA), which the data must have; None takes the data's own.
      num_classes: number of classes, which the data must have; 0 ignores labels, None takes the data's own.

    Returns:
      The opened source. Everything that is cheap to check about it has been checked.

    Raises:
      ValueError: if a value is not allowed or the data does not agree with it; the message names the field or file.
      FileNotFoundError: if there is nothing at the path.
    """
    names = lookup.module_names(sources)
    if name not in names:
        raise ValueError(f"data.source={name!r} is unknown; allowed: {', '.join(names)}")
    module = lookup.module(sources, name)
    return module.open(path, resolution=resolution, channels=channels, num_classes=num_classes)
