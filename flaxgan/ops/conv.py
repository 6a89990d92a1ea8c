"""Convolution, with resampling before or after it.

Reference: Karras et al. 2020b, appendix B; the conv2d_resample operator of the official StyleGAN2-ADA code.
"""

import jax

from flaxgan.ops.fir import Filter
from flaxgan.ops.padding import Padding, pad_image, parse_padding
from flaxgan.ops.upfirdn import add_padding, downsample_padding, upfirdn2d, upsample_padding


def conv2d(x: jax.Array, w: jax.Array, *, stride: int = 1, padding: Padding = 0, groups: int = 1) -> jax.Array:
    """2-D correlation of x with w.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I / groups, O], in x's dtype.
      stride: keeps every stride-th pixel of the result along both axes.
      padding: zeros around x in pixels; an int, (x, y) or (x0, x1, y0, y1). Negative crops.
      groups: number of channel groups.

    Returns:
      [N, H', W', O].

    Raises:
      ValueError: on wrong shapes, or if the padded image is smaller than the kernel.
    """
    _check_shapes(x, w, groups)
    # Explicit padding: an implicitly padded kernel of even size has a weight gradient that is 30 times slower on CPU.
    x = pad_image(x, parse_padding(padding))
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def conv2d_resample(
    x: jax.Array,
    w: jax.Array,
    f: Filter = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
) -> jax.Array:
    return conv2d_resample_reference(
        x, w, f, up=up, down=down, padding=padding, groups=groups, flip_weight=flip_weight, flip_filter=flip_filter
    )


def conv2d_resample_reference(
    x: jax.Array,
    w: jax.Array,
    f: Filter = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
) -> jax.Array:
    """`conv2d_resample` step by step as it is defined."""
    if up > 1:
        padding = add_padding(padding, upsample_padding(f, (up, up)))
    if down > 1:
        padding = add_padding(padding, downsample_padding(f, (down, down)))
    x = upfirdn2d(x, f if up > 1 else None, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    x = conv2d(x, w if flip_weight else w[::-1, ::-1], groups=groups)
    return upfirdn2d(x, f, down=down, flip_filter=flip_filter) if down > 1 else x


def _check_shapes(x: jax.Array, w: jax.Array, groups: int) -> None:
    if x.ndim != 4:
        raise ValueError(f"x: found shape {x.shape}, allowed: [N, H, W, I]")
    if groups < 1 or w.ndim != 4 or w.shape[2] * groups != x.shape[3] or w.shape[3] % groups:
        raise ValueError(
            f"w: found shape {w.shape}, allowed: [kh, kw, {x.shape[3]} / {groups} groups, O], O divisible by the groups"
        )
