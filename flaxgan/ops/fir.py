"""FIR filters on images, in two forms: weighted sums of slices along one axis, and a depthwise convolution.

A weighted sum of shifted slices fuses into one loop; on CPU it is about 40 times faster than the convolution. It
requires a separable filter. The filters of the published networks are separable.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.errors import FieldError, Words
from flaxgan.ops.padding import pad_axis

Filter = np.ndarray | jax.Array | None
Taps = Sequence[float] | jax.Array


def filter_shape(f: Filter) -> tuple[int, int]:
    """Returns the shape (fh, fw) of a filter; None is the identity, and [taps] acts on both axes.

    Raises:
      FieldError: if f is not a 1-D or 2-D array with at least one tap.
    """
    if f is None:
        return (1, 1)
    shape = np.shape(f)
    if len(shape) not in (1, 2) or 0 in shape:
        raise FieldError("f", Words(f"shape {shape}"), "[taps], [fh, fw] or None")
    return (shape[0], shape[-1])


def separate(f: Filter, gain: float) -> tuple[Taps, Taps] | None:
    """Separates gain * f into vertical and horizontal taps, of which it is the outer product.

    Returns:
      (vertical, horizontal), or None for a 2-D filter that is not separable, or that is traced, so that its values are
      unknown. A filter [taps] acts on both axes: gain times its outer product with itself is separated.
    """
    if f is None:
        return [float(gain)], [1.0]
    if isinstance(f, np.ndarray):
        return _separate_static(f, gain)
    return (f * gain, f) if f.ndim == 1 else None


def _separate_static(f: np.ndarray, gain: float) -> tuple[list[float], list[float]] | None:
    exact = f.astype(np.float64)
    if f.ndim == 1:
        return (exact * gain).tolist(), exact.tolist()
    vertical, horizontal, total = exact.sum(axis=1), exact.sum(axis=0), exact.sum()
    largest = np.abs(exact).max()
    if abs(total) <= 1e-3 * largest:  # Row and column sums say little about such a filter.
        return None
    rounding = np.finfo(f.dtype).eps * largest
    if np.abs(np.outer(vertical, horizontal) / total - exact).max() > rounding:
        return None
    return (vertical * gain).tolist(), (horizontal / total).tolist()


def filter_axis(
    x: jax.Array, taps: Taps, axis: int, *, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0)
) -> jax.Array:
    """Upsamples, pads, correlates and downsamples along one axis, as a weighted sum of shifted slices.

    Args:
      x: float array.
      taps: coefficients in the order of correlation: numbers, or a 1-D array.
      axis: axis of x to filter.
      up: upsampling factor; up - 1 zeros follow every element.
      down: downsampling factor; the result holds every down-th element.
      padding: zeros before and after the upsampled signal; negative values crop.

    Returns:
      Array in x's dtype, floor((L * up + sum(padding) - len(taps)) / down) + 1 long along the axis.
    """
    taps = [tap if isinstance(tap, float) else tap.astype(x.dtype) for tap in taps]
    if up > 1 and down == 1:
        return _upsample_axis(x, taps, axis, up, padding)
    x = pad_axis(x, axis, padding[0], padding[1] + up - 1, zeros_between=up - 1)
    size = (x.shape[axis] - len(taps)) // down + 1
    return _weighted_slices(x, list(enumerate(taps)), axis, size, down)


def _upsample_axis(x: jax.Array, taps: list[Any], axis: int, up: int, padding: tuple[int, int]) -> jax.Array:
    """Filters each output phase with its own taps: only every up-th tap meets a non-zero element."""
    size = x.shape[axis] * up + sum(padding) - len(taps) + 1
    phase_size = -(-size // up)
    # Output up * j + phase meets with tap t the element j + (phase + t - before) / up.
    phases = [
        [((phase + t - padding[0]) // up, tap) for t, tap in enumerate(taps) if (phase + t - padding[0]) % up == 0]
        for phase in range(up)
    ]
    first = min(shift for phase in phases for shift, _ in phase)
    last = max(shift for phase in phases for shift, _ in phase) + phase_size - 1
    x = pad_axis(x, axis, -first, last - (x.shape[axis] - 1))
    parts = [_weighted_slices(x, [(shift - first, tap) for shift, tap in phase], axis, phase_size) for phase in phases]
    y = jnp.stack(parts, axis=axis + 1)
    y = y.reshape(*y.shape[:axis], phase_size * up, *y.shape[axis + 2 :])
    return jax.lax.slice_in_dim(y, 0, size, axis=axis)


def _weighted_slices(
    x: jax.Array, shifted_taps: list[tuple[int, Any]], axis: int, size: int, stride: int = 1
) -> jax.Array:
    """Computes the sum over (shift, tap) of tap * x[shift::stride][:size]."""
    total = None
    for shift, tap in shifted_taps:
        part = jax.lax.slice_in_dim(x, shift, shift + (size - 1) * stride + 1, stride, axis)
        part = part if isinstance(tap, float) and tap == 1.0 else part * tap
        total = part if total is None else total + part
    return jnp.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype) if total is None else total


def filter_by_convolution(
    x: jax.Array, f: jax.Array, *, up: tuple[int, int], down: tuple[int, int], padding: tuple[tuple[int, int], ...]
) -> jax.Array:
    """Upsamples, pads, correlates and downsamples both axes with one depthwise convolution.

    Args:
      x: float [N, H, W, C].
      f: [fh, fw], in the order of correlation.
      up: upsampling factors (y, x).
      down: downsampling factors (y, x).
      padding: ((y0, y1), (x0, x1)) around the upsampled image; negative values crop.

    Returns:
      [N, H', W', C] in x's dtype.
    """
    channels = x.shape[3]
    kernel = jnp.broadcast_to(f.astype(x.dtype)[:, :, None, None], (*f.shape, 1, channels))
    # A dilated image ends with its last pixel; here up - 1 zeros follow every pixel, the last one too.
    with_zeros = [(before, after + factor - 1) for (before, after), factor in zip(padding, up, strict=True)]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=down,
        padding=with_zeros,
        lhs_dilation=up,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
    )
