"""The grids of an image pyramid: a small base grid that is doubled until it has the size of the image."""

MIN_BASE_PX = 4
MAX_BASE_PX = 16


def base_grid(height: int, width: int) -> tuple[int, int]:
    """The grid (H, W) that a pyramid of images of this size starts from.

    Both sides are halved while both are even and both halves have at least 4 pixels: 1024x1024 starts from 4x4, 64x96
    from 4x6, 40x56 from 5x7.

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
    """Every grid (H, W) of the pyramid, from the base grid to the image's own."""
    found = [base_grid(height, width)]
    while found[-1][0] < height:
        found.append((2 * found[-1][0], 2 * found[-1][1]))
    return tuple(found)


def resolution(grid: tuple[int, int]) -> int:
    """The resolution of a grid, which names its block and decides its channels: the shorter side in pixels."""
    return min(grid)


def channels(grid: tuple[int, int], channel_base: int, channel_max: int) -> int:
    """Feature channels at a grid: min(channel_base // resolution, channel_max).

    Reference: Karras et al. 2018 (PGGAN), table 2; the integer form is that of StyleGAN2-ADA.
    """
    return min(channel_base // resolution(grid), channel_max)


def require_buildable(image_shape: tuple[int, int, int]) -> None:
    """Checks that an image shape is a small base grid times a power of two.

    Args:
      image_shape: (H, W, C) in pixels and channels.

    Raises:
      ValueError: if it is not three positive integers, if a side is too small to be halved once, or if the halving
        stops at a base grid whose shorter side is above 16 pixels, at which the dense layer of a discriminator and
        the learned constant of a generator would be larger than the rest of the network.
    """
    if len(image_shape) != 3 or not all(isinstance(size, int) and size >= 1 for size in image_shape):
        raise ValueError(f"image_shape: found {image_shape!r}, allowed: (height, width, channels), all at least 1")
    height, width, _ = image_shape
    if min(height, width) < 2 * MIN_BASE_PX:
        raise ValueError(f"image_shape: found {height}x{width} pixels, allowed: sides of at least {2 * MIN_BASE_PX}")
    base = base_grid(height, width)
    if base == (height, width) or min(base) > MAX_BASE_PX:
        raise ValueError(
            f"image_shape: found {height}x{width} pixels, which can be halved down to {base[0]}x{base[1]} only, "
            f"allowed: a base grid with a shorter side of {MIN_BASE_PX} to {MAX_BASE_PX} pixels times a power of two, "
            "at least 2 (64x64, 64x96, 40x56); crop or resize the images"
        )
