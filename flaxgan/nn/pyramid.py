"""The grids of an image pyramid, from a small base grid by doubling to the size of the image."""

from flaxgan.errors import FieldError, Words

MIN_BASE_PX = 4
MAX_BASE_PX = 16


def base_grid(height: int, width: int) -> tuple[int, int]:
    """Returns the base grid (H, W) of the pyramid of an image size.

    Both sides are halved while both are even and both halves have at least 4 pixels: 1024x1024 has the base grid 4x4,
    64x96 has 4x6, 40x56 has 5x7.

    Args:
      height: height of the image in pixels.
      width: width of the image in pixels.

    Returns:
      (H, W) of the base grid.
    """
    while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= MIN_BASE_PX:
        height, width = height // 2, width // 2
    return height, width


def grids(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Returns every grid (H, W) of the pyramid, from the base grid to the image's own."""
    found = [base_grid(height, width)]
    while found[-1][0] < height:
        found.append((2 * found[-1][0], 2 * found[-1][1]))
    return tuple(found)


def resolution(grid: tuple[int, int]) -> int:
    """Returns the resolution of a grid, its shorter side in pixels, which names its block and sets its channels."""
    return min(grid)


def channels(grid: tuple[int, int], channel_base: int, channel_max: int) -> int:
    """Returns the number of feature channels at a grid, min(channel_base // resolution, channel_max).

    References:
      Karras et al. 2018 (PGGAN), table 2; the integer form is that of StyleGAN2-ADA.
    """
    return min(channel_base // resolution(grid), channel_max)


def require_buildable(image_shape: tuple[int, int, int]) -> None:
    """Checks that an image shape is a small base grid times a power of two.

    Args:
      image_shape: (H, W, C) in pixels and channels.

    Raises:
      FieldError: if it is not three positive integers, if a side is too small to halve once, or if halving stops at a
        base grid whose shorter side is above 16 pixels, where the dense layer of a discriminator and the learned
        constant of a generator would be larger than the rest of the network.
    """
    if len(image_shape) != 3 or not all(isinstance(size, int) and size >= 1 for size in image_shape):
        raise FieldError("image_shape", image_shape, "(height, width, channels), all at least 1")
    height, width, _ = image_shape
    if min(height, width) < 2 * MIN_BASE_PX:
        raise FieldError("image_shape", Words(f"{height}x{width} pixels"), f"sides of at least {2 * MIN_BASE_PX}")
    base = base_grid(height, width)
    if base == (height, width) or min(base) > MAX_BASE_PX:
        found = Words(f"{height}x{width} pixels, which can be halved down to {base[0]}x{base[1]} only")
        allowed = (
            f"a base grid with a shorter side of {MIN_BASE_PX} to {MAX_BASE_PX} pixels times a power of two, "
            "at least 2 (64x64, 64x96, 40x56); crop or resize the images"
        )
        raise FieldError("image_shape", found, allowed)
