"""Stages of progressive growing in the networks, and the fading in of the newest block.

A stage is the index of a grid of the pyramid, from the base grid to the image's own. It is static: a program computes
the layers of one stage. `alpha`, the weight of the newest block, may be traced.
"""

from collections.abc import Sequence

import jax

from flaxgan.errors import FieldError, Words
from flaxgan.nn import pyramid

Grids = Sequence[tuple[int, int]]


def stage_index(stage: int | None, grids: Grids) -> int:
    """Returns the index of a stage; None is the last.

    Raises:
      FieldError: if the stage does not exist.
    """
    if stage is None:
        return len(grids) - 1
    if isinstance(stage, bool) or not isinstance(stage, int) or not 0 <= stage < len(grids):
        sizes = ", ".join(f"{index} ({height}x{width})" for index, (height, width) in enumerate(grids))
        raise FieldError("stage", stage, f"None or one of {sizes}")
    return stage


def is_fading(stage: int, alpha: float | jax.Array) -> bool:
    """Tests whether the result depends on the stage before this one, as far as is known while tracing."""
    return stage > 0 and not (isinstance(alpha, int | float) and alpha == 1)


def shows_image(index: int, stage: int, alpha: float | jax.Array) -> bool:
    """Tests whether the grid of this index converts between features and image at a stage."""
    return index == stage or (index == stage - 1 and is_fading(stage, alpha))


def require_stage_images(images: jax.Array, grid: tuple[int, int], channels: int) -> None:
    """Checks that images have the size of a stage.

    Raises:
      FieldError: if they are not [N, H, W, C] of the size of the grid.
    """
    expected = (*grid, channels)
    if images.ndim != 4 or images.shape[1:] != expected:
        allowed = f"[N, {', '.join(map(str, expected))}], the size of the stage"
        raise FieldError("images", Words(f"shape {images.shape}"), allowed)


def low_grids(grids: Grids, count: int) -> frozenset[int]:
    """Returns the resolutions of the `count` highest grids, which use low precision; never the base grid's."""
    return frozenset(pyramid.resolution(grid) for grid in list(grids)[1:][::-1][:count])
