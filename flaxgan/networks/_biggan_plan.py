"""Channels and positions of self-attention in the networks of BigGAN and of SAGAN, which BigGAN extends."""

from flaxgan.errors import FieldError
from flaxgan.networks import _checks as checks
from flaxgan.nn import pyramid

# Channels as multiples of a network's width, by the number of doublings from the base grid to the image: 3 at 32x32, 7
# at 512x512. Brock et al. 2019, tables 4 to 9, and their code for CIFAR-10; those of SAGAN at 128x128 are the same.
_G_MULTIPLIERS = {
    3: (4, 4, 4, 4),
    4: (16, 16, 8, 4, 2),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
}
_D_MULTIPLIERS = {
    3: (4, 4, 4, 4),
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
_SMALL = 3  # Up to this number of doublings, the discriminator halves the grid at most twice, then keeps it.
_SMALL_HALVINGS = 2
_SMALL_FLAT_BLOCKS = 2


def generator_channels(
    image_shape: tuple[int, int, int], g_channels: int, g_multipliers: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Returns the channels of the generator at each grid, the base grid first.

    Args:
      image_shape: (H, W, C).
      g_channels: width of which they are multiples.
      g_multipliers: one for each grid, or None for the published ones.

    Raises:
      FieldError: on another number of multipliers, or if none are published for this size.
    """
    count = _doublings(image_shape)
    published = (4,) * (count + 1) if count < _SMALL else _G_MULTIPLIERS.get(count)
    multipliers = _checked_multipliers(image_shape, published, count + 1, g_multipliers=g_multipliers)
    allowed = f"None or {count + 1} integers above 0, one for each grid"
    checks.require(len(multipliers) == count + 1, "g_multipliers", multipliers, allowed)
    return tuple(g_channels * multiplier for multiplier in multipliers)


def discriminator_channels(
    image_shape: tuple[int, int, int], d_channels: int, d_multipliers: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Returns the channels of each block of the discriminator; see `generator_channels`."""
    count, halvings = _doublings(image_shape), downsamples(image_shape)
    published = (4,) * (halvings + _SMALL_FLAT_BLOCKS) if count < _SMALL else _D_MULTIPLIERS.get(count)
    multipliers = _checked_multipliers(image_shape, published, halvings + 1, d_multipliers=d_multipliers)
    return tuple(d_channels * multiplier for multiplier in multipliers)


def downsamples(image_shape: tuple[int, int, int]) -> int:
    """Returns the number of first blocks of the discriminator that halve the grid."""
    count = _doublings(image_shape)
    return min(count, _SMALL_HALVINGS) if count <= _SMALL else count


def generator_outputs(image_shape: tuple[int, int, int]) -> list[int]:
    """Returns the output resolution of each block of the generator."""
    return [pyramid.resolution(grid) for grid in pyramid.grids(*image_shape[:2])[1:]]


def discriminator_outputs(image_shape: tuple[int, int, int], num_blocks: int) -> list[int]:
    """Returns the output resolution of each of the discriminator's blocks."""
    image_px, halvings = pyramid.resolution(image_shape[:2]), downsamples(image_shape)
    return [image_px >> min(index + 1, halvings) for index in range(num_blocks)]


def attention_blocks(
    outputs: list[int], *, default_px: int, only_first: bool = False, **fields: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Returns the indices of the blocks that self-attention follows.

    Args:
      outputs: output resolution of each block.
      default_px: largest default resolution of attention; 0 disables it.
      only_first: whether attention follows only the first block of a resolution.
      **fields: exactly one field with the resolutions of attention; None is the largest up to default_px, or the
        smallest if all are larger.

    Raises:
      FieldError: if no block has such an output.
    """
    ((field, resolutions),) = fields.items()
    if resolutions is None:
        fitting = [px for px in outputs if px <= default_px] or [min(outputs)]
        resolutions = (max(fitting),) if default_px else ()
    possible = f"None or a tuple of resolutions among {', '.join(map(str, sorted(set(outputs))))}"
    is_possible = isinstance(resolutions, tuple | list) and set(resolutions) <= set(outputs)
    checks.require(is_possible, field, resolutions, possible)
    found = [index for index, px in enumerate(outputs) if px in resolutions]
    return tuple(index for index in found if not only_first or outputs.index(outputs[index]) == index)


def _doublings(image_shape: tuple[int, int, int]) -> int:
    return len(pyramid.grids(*image_shape[:2])) - 1


def _checked_multipliers(
    image_shape: tuple[int, int, int],
    published: tuple[int, ...] | None,
    at_least: int,
    **fields: tuple[int, ...] | None,
) -> tuple[int, ...]:
    """Returns the multipliers of the given field, or the published ones."""
    ((field, multipliers),) = fields.items()
    if multipliers is None:
        height, width, _ = image_shape
        if published is None:
            allowed = f"a tuple of integers above 0, as there are no published ones for {height}x{width} pixels"
            raise FieldError(field, None, allowed)
        return published
    is_tuple = isinstance(multipliers, tuple | list) and len(multipliers) >= at_least
    fits = is_tuple and all(isinstance(number, int) and number > 0 for number in multipliers)
    checks.require(fits, field, multipliers, f"None or at least {at_least} integers above 0")
    return tuple(multipliers)
