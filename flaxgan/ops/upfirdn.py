"""Upsampling, FIR filtering and downsampling, for style-based networks and augmentation.

References:
  Karras et al. 2020b, appendix B; Zhang 2019 for the motivation; the upfirdn2d operator of the official StyleGAN2 code.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.ops import fir
from flaxgan.ops.fir import Filter, filter_shape
from flaxgan.ops.padding import Factor, Padding, parse_factor, parse_padding


def setup_filter(
    f: Any, *, normalize: bool = True, flip_filter: bool = False, gain: float = 1.0, separable: bool | None = None
) -> np.ndarray:
    """Prepares a FIR filter for `upfirdn2d`.

    Args:
      f: taps: a scalar, a 1-D or a 2-D array or list; None is the identity.
      normalize: whether to divide by the sum of the taps.
      flip_filter: whether to reverse the filter along each of its axes.
      gain: factor on the 2-D filter.
      separable: True keeps 1-D taps; False replaces them by their outer product; None keeps 8 taps or more.

    Returns:
      float32 (float64 if f is a float64 array): [taps] if separable, else [fh, fw].

    Raises:
      FieldError: if f is empty or has more than 2 axes, if separable is True for a 2-D f, or if normalize is True for
        taps that sum to 0.
    """
    dtype = np.float64 if getattr(f, "dtype", None) == np.float64 else np.float32
    taps = np.atleast_1d(np.asarray(1.0 if f is None else f, dtype=np.float64))
    if taps.ndim > 2 or taps.size == 0:
        raise FieldError("f", Words(f"shape {taps.shape}"), "a scalar, [taps] or [fh, fw]")
    if separable and taps.ndim == 2:
        raise FieldError("separable", Words(f"True with f of shape {taps.shape}"), "True with 1-D taps only")
    if separable is None:
        separable = taps.ndim == 1 and taps.size >= 8
    if taps.ndim == 1 and not separable:
        taps = np.outer(taps, taps)
    if normalize:
        if taps.sum() == 0:
            raise FieldError("f", Words("taps that sum to 0"), "these only with normalize=False")
        taps = taps / taps.sum()
    if flip_filter:
        taps = np.flip(taps)
    return np.ascontiguousarray(taps * gain ** (taps.ndim / 2), dtype=dtype)


def upfirdn2d(
    x: jax.Array,
    f: Filter,
    *,
    up: Factor = 1,
    down: Factor = 1,
    padding: Padding = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> jax.Array:
    """Inserts up - 1 zeros after every pixel, pads, filters, and keeps every down-th pixel.

    Args:
      x: float [N, H, W, C].
      f: filter from `setup_filter`: [fh, fw], or [taps] for both axes; None is the identity. A NumPy array is examined
        for the fastest form; a JAX array may be traced.
      up: factor, an int or (x, y).
      down: factor, an int or (x, y).
      padding: zeros around the upsampled image in pixels; an int, (x, y) or (x0, x1, y0, y1). Negative values crop.
      flip_filter: False convolves (the filter is reversed), True correlates.
      gain: factor on the result.

    Returns:
      [N, H', W', C] in x's dtype, H' = floor((H * up + y0 + y1 - fh) / down) + 1.

    Raises:
      FieldError: on wrong shapes or factors, or if the padded image is smaller than the filter.
    """
    up_x, up_y = parse_factor(up, "up")
    down_x, down_y = parse_factor(down, "down")
    x0, x1, y0, y1 = parse_padding(padding)
    _check_sizes(x, filter_shape(f), (up_x, up_y), (x0, x1, y0, y1))
    taps = fir.separate(f, gain)
    if taps is None:
        kernel = jnp.asarray(f)
        kernel = (kernel if flip_filter else kernel[::-1, ::-1]) * gain
        factors = {"up": (up_y, up_x), "down": (down_y, down_x)}
        return fir.filter_by_convolution(x, kernel, **factors, padding=((y0, y1), (x0, x1)))
    vertical, horizontal = taps if flip_filter else (taps[0][::-1], taps[1][::-1])
    x = fir.filter_axis(x, vertical, 1, up=up_y, down=down_y, padding=(y0, y1))
    return fir.filter_axis(x, horizontal, 2, up=up_x, down=down_x, padding=(x0, x1))


def filter2d(
    x: jax.Array, f: Filter, *, padding: Padding = 0, flip_filter: bool = False, gain: float = 1.0
) -> jax.Array:
    """Filters an image and keeps its size; `padding` is added to that of the filter. See `upfirdn2d`."""
    fh, fw = filter_shape(f)
    padding = add_padding(padding, (fw // 2, (fw - 1) // 2, fh // 2, (fh - 1) // 2))
    return upfirdn2d(x, f, padding=padding, flip_filter=flip_filter, gain=gain)


def upsample2d(
    x: jax.Array, f: Filter, *, up: Factor = 2, padding: Padding = 0, flip_filter: bool = False, gain: float = 1.0
) -> jax.Array:
    """Enlarges an image `up` times; `padding` is added, in pixels of the result. See `upfirdn2d`."""
    up_x, up_y = parse_factor(up, "up")
    padding = add_padding(padding, upsample_padding(f, (up_x, up_y)))
    return upfirdn2d(x, f, up=(up_x, up_y), padding=padding, flip_filter=flip_filter, gain=gain * up_x * up_y)


def downsample2d(
    x: jax.Array, f: Filter, *, down: Factor = 2, padding: Padding = 0, flip_filter: bool = False, gain: float = 1.0
) -> jax.Array:
    """Shrinks an image `down` times; `padding` is added, in pixels of x. See `upfirdn2d`."""
    padding = add_padding(padding, downsample_padding(f, parse_factor(down, "down")))
    return upfirdn2d(x, f, down=down, padding=padding, flip_filter=flip_filter, gain=gain)


def upsample_padding(f: Filter, up: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns the padding (x0, x1, y0, y1) that keeps an image in place when it is enlarged by factors (x, y)."""
    fh, fw = filter_shape(f)
    up_x, up_y = up
    return ((fw + up_x - 1) // 2, (fw - up_x) // 2, (fh + up_y - 1) // 2, (fh - up_y) // 2)


def downsample_padding(f: Filter, down: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns the padding (x0, x1, y0, y1) that keeps an image in place when it is shrunk by factors (x, y)."""
    fh, fw = filter_shape(f)
    down_x, down_y = down
    return ((fw - down_x + 1) // 2, (fw - down_x) // 2, (fh - down_y + 1) // 2, (fh - down_y) // 2)


def add_padding(padding: Padding, extra: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Returns the sum of two paddings as (x0, x1, y0, y1)."""
    x0, x1, y0, y1 = (one + other for one, other in zip(parse_padding(padding), extra, strict=True))
    return (x0, x1, y0, y1)


def _check_sizes(x: jax.Array, filter_size: tuple[int, int], up: tuple[int, int], padding: tuple[int, ...]) -> None:
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    x0, x1, y0, y1 = padding
    padded = (x.shape[1] * up[1] + y0 + y1, x.shape[2] * up[0] + x0 + x1)
    if padded[0] < filter_size[0] or padded[1] < filter_size[1]:
        found = Words(f"{padded} pixels after upsampling and padding")
        raise FieldError("x", found, f"at least {filter_size}, the filter")
