"""Convolutions, with optional resampling before or after.

References:
  Karras et al. 2020b, appendix B; the conv2d_resample operator of the official StyleGAN2-ADA code.
"""

import jax

from flaxgan.errors import FieldError, Words
from flaxgan.ops.fir import Filter
from flaxgan.ops.padding import Padding, pad_image, parse_factor, parse_padding
from flaxgan.ops.resampling_conv import downsampling_conv, upsampling_conv
from flaxgan.ops.upfirdn import add_padding, downsample_padding, upfirdn2d, upsample_padding

# On CPU a 1x1 convolution of many channels is 2 times faster as a matrix product, gradients included; one of few
# channels, such as those of an image, is 2 times slower.
_MIN_CHANNELS_OF_PRODUCT = 16


def conv2d(x: jax.Array, w: jax.Array, *, padding: Padding = 0, groups: int = 1) -> jax.Array:
    """Computes the 2-D correlation of x with w.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I / groups, O], in x's dtype.
      padding: zeros around x in pixels; an int, (x, y) or (x0, x1, y0, y1). Negative values crop.
      groups: number of channel groups.

    Returns:
      [N, H + y0 + y1 - kh + 1, W + x0 + x1 - kw + 1, O].

    Raises:
      FieldError: on wrong shapes, or if the padded image is smaller than the kernel.
    """
    x0, x1, y0, y1 = parse_padding(padding)
    _check_shapes(x, w, groups)
    _check_sizes(x, w, (x0, x1, y0, y1))
    if w.shape[:2] == (1, 1) and groups == 1 and w.shape[2] >= _MIN_CHANNELS_OF_PRODUCT:
        return pad_image(x, (x0, x1, y0, y1)) @ w[0, 0]
    # On CPU the gradients of a convolution that pads by itself are 2 times faster than those of a convolution of a
    # padded image, but only while the result is no larger than the image; beyond that they are 30 times slower.
    pads_itself = min(x0, x1, y0, y1) >= 0 and y0 + y1 < w.shape[0] and x0 + x1 < w.shape[1]
    if not pads_itself:
        x = pad_image(x, (x0, x1, y0, y1))
    return jax.lax.conv_general_dilated(
        x,
        w,
        window_strides=(1, 1),
        padding=((y0, y1), (x0, x1)) if pads_itself else "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
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
    """Upsamples, convolves and downsamples, in the fastest order; the result does not depend on the order.

    By definition it inserts up - 1 zeros after every pixel and pads, applies the FIR filter with gain up^2 (only if
    up > 1), convolves, applies the FIR filter again (only if down > 1), and keeps every down-th pixel.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I / groups, O], in x's dtype.
      f: FIR filter from `setup_filter`; None is the identity.
      up: upsampling factor.
      down: downsampling factor.
      padding: zeros around the upsampled image, in addition to those that keep the resampled image in place; an int,
        (x, y) or (x0, x1, y0, y1). Negative values crop.
      groups: number of channel groups.
      flip_weight: True correlates with w, False convolves.
      flip_filter: True correlates with f, False convolves.

    Returns:
      [N, H', W', O] in x's dtype; H' = H * up / down for odd kernels with padding (kh - 1) / 2 and even H.

    Raises:
      FieldError: on wrong shapes or factors.
    """
    up, down = _check_factor(up, "up"), _check_factor(down, "down")
    if groups > 1 or (up > 1 and down > 1):
        return conv2d_resample_reference(
            x, w, f, up=up, down=down, padding=padding, groups=groups, flip_weight=flip_weight, flip_filter=flip_filter
        )
    _check_shapes(x, w, groups)
    x0, x1, y0, y1 = padding = _total_padding(f, up, down, padding)
    w = w if flip_weight else w[::-1, ::-1]
    height, width = w.shape[:2]
    pointwise = height == width == 1
    if up > 1 and pointwise:
        return upfirdn2d(conv2d(x, w), f, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    if up > 1:
        y, (before_y, before_x) = upsampling_conv(x, w, up)
        padding = (x0 - before_x, x1 - (width - 1), y0 - before_y, y1 - (height - 1))
        return upfirdn2d(y, f, padding=padding, flip_filter=flip_filter, gain=up**2)
    if down > 1 and pointwise:
        return conv2d(upfirdn2d(x, f, down=down, padding=padding, flip_filter=flip_filter), w)
    if down > 1:
        x = upfirdn2d(x, f, padding=padding, flip_filter=flip_filter)
        _check_sizes(x, w)
        return downsampling_conv(x, w, down)
    return conv2d(x, w, padding=padding)


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
    """Computes `conv2d_resample` in the order of its definition."""
    padding = _total_padding(f, up, down, padding)
    x = upfirdn2d(x, f if up > 1 else None, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    x = conv2d(x, w if flip_weight else w[::-1, ::-1], groups=groups)
    return upfirdn2d(x, f, down=down, flip_filter=flip_filter) if down > 1 else x


def _total_padding(f: Filter, up: int, down: int, padding: Padding) -> tuple[int, int, int, int]:
    """Returns the given padding plus that of the resampling; both are applied at once, before everything else."""
    if up > 1:
        padding = add_padding(padding, upsample_padding(f, (up, up)))
    if down > 1:
        padding = add_padding(padding, downsample_padding(f, (down, down)))
    return parse_padding(padding)


def _check_factor(factor: int, name: str) -> int:
    factor_x, factor_y = parse_factor(factor, name)
    if factor_x != factor_y:
        raise FieldError(name, factor, "the same factor along x and y")
    return factor_x


def _check_shapes(x: jax.Array, w: jax.Array, groups: int) -> None:
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, I]")
    if groups < 1 or w.ndim != 4 or w.shape[2] * groups != x.shape[3] or w.shape[3] % groups:
        allowed = f"[kh, kw, {x.shape[3]} / {groups} groups, O], O divisible by the groups"
        raise FieldError("w", Words(f"shape {w.shape}"), allowed)


def _check_sizes(x: jax.Array, w: jax.Array, padding: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
    x0, x1, y0, y1 = padding
    padded = (x.shape[1] + y0 + y1, x.shape[2] + x0 + x1)
    if padded[0] < w.shape[0] or padded[1] < w.shape[1]:
        raise FieldError("x", Words(f"{padded} pixels after padding"), f"at least {w.shape[:2]}, the kernel")
