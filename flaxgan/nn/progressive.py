"""Progressive growing, as the networks see it: which stage is computed, and whether its newest block is faded in.

A stage is the index of a grid of the pyramid, from the base grid to the image's own. It is static: a program computes
the layers of one stage. `alpha`, the weight of the newest block, may be traced.
"""

from collections.abc import Sequence

import jax

from flaxgan.nn import pyramid

Grids = Sequence[tuple[int, int]]


def stage_index(stage: int | None, grids: Grids) -> int:
    """The index of a stage, None being the last.

    Raises:
      ValueError: if there is no such stage.
    """
    if stage is None:
        return len(grids) - 1
    if isinstance(stage, bool) or not isinstance(stage, int) or not 0 <= stage < len(grids):
        sizes = ", ".join(f"{index} ({height}x{width})" for index, (height, width) in enumerate(grids))
        raise ValueError(f"stage: found {stage!r}, allowed: None or one of {sizes}")
    return stage


def is_fading(stage: int, alpha: float | jax.Array) -> bool:
    """Whether the stage before this one takes part in the result, as far as is known while tracing."""
    return stage > 0 and not (isinstance(alpha, int | float) and alpha == 1)


def shows_image(index: int, stage: int, alpha: float | jax.Array) -> bool:
    """Whether the grid of this index turns features into an image, or an image into features, at a stage."""
    return index == stage or (index == stage - 1 and is_fading(stage, alpha))


def require_stage_images(images: jax.Array, grid: tuple[int, int], channels: int) -> None:
    """Checks that images have the size of a stage.

    Raises:
      ValueError: if they are not [N, H, W, C] of the grid's size.
    """
    expected = (*grid, channels)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(
            f"images: found shape {images.shape}, allowed: [N, {', '.join(map(str, expected))}], the size of the stage"
        )


def low_grids(grids: Grids, count: int) -> frozenset[int]:
    """Resolutions of the `count` highest grids, those of low precision; the base grid is never one of them."""
    return frozenset(pyramid.resolution(grid) for grid in list(grids)[1:][::-1][:count])
