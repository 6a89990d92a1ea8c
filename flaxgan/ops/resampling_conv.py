"""Strided and transposed convolutions, which resample by themselves.

Each has two forms of the same arithmetic. On CPU it is one matrix product over all taps of the kernel, with shifted
slices before or after it. Its gradients are matrix products, too, whereas strided convolutions leave the compiler's
fast path on CPU. Elsewhere it is the native convolution, which keeps no copy of the image for each tap.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flaxgan.ops.padding import pad_axis

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def downsampling_conv(x: jax.Array, w: jax.Array, down: int) -> jax.Array:
    """Computes every down-th pixel, from the first on, of the correlation of x with w without padding.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I, O], in x's dtype.
      down: factor, at least 1.

    Returns:
      [N, floor((H - kh) / down) + 1, floor((W - kw) / down) + 1, O].
    """

    def native(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, w, (down, down), "VALID", dimension_numbers=_LAYOUT)

    return _by_platform(lambda x, w: _gather_and_multiply(x, w, down), native, x, w)


def upsampling_conv(x: jax.Array, w: jax.Array, up: int) -> tuple[jax.Array, tuple[int, int]]:
    """Inserts up - 1 zeros after every pixel of x and correlates with w, wherever the result is not 0.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I, O], in x's dtype.
      up: factor, at least 1.

    Returns:
      (y, (before_y, before_x)): y is [N, H * up + before_y, W * up + before_x, O]. The window of its pixel
      (before_y, before_x) begins at the first pixel of x.
    """
    before = (_windows_before(w.shape[0], up) * up, _windows_before(w.shape[1], up) * up)

    def native(x: jax.Array, w: jax.Array) -> jax.Array:
        padding = [(first, up + taps - 2) for first, taps in zip(before, w.shape[:2], strict=True)]
        return jax.lax.conv_general_dilated(x, w, (1, 1), padding, lhs_dilation=(up, up), dimension_numbers=_LAYOUT)

    return _by_platform(lambda x, w: _multiply_and_scatter(x, w, up), native, x, w), before


def _by_platform(on_cpu: Callable, elsewhere: Callable, x: jax.Array, w: jax.Array) -> jax.Array:
    """Applies one of two functions, chosen by the platform for which the program is compiled."""
    return jax.lax.platform_dependent(x, w, cpu=on_cpu, default=elsewhere)


def _gather_and_multiply(x: jax.Array, w: jax.Array, down: int) -> jax.Array:
    """Gathers the pixels under all taps as channels, then multiplies."""
    kernel_height, kernel_width, _, channels_out = w.shape
    height, width = ((size - taps) // down + 1 for size, taps in zip(x.shape[1:3], w.shape[:2], strict=True))
    # Taps a and a + down meet the same phase of x, a % down, one pixel apart. Slices of a phase have no stride.
    row_phases = _phases(x, 1, down, height + (kernel_height - 1) // down)
    phases = [_phases(rows, 2, down, width + (kernel_width - 1) // down) for rows in row_phases]
    gathered = [
        phases[a % down][b % down][:, a // down : a // down + height, b // down : b // down + width]
        for a in range(kernel_height)
        for b in range(kernel_width)
    ]
    return jnp.concatenate(gathered, axis=3) @ w.reshape(-1, channels_out)


def _phases(x: jax.Array, axis: int, count: int, size: int) -> list[jax.Array]:
    """Returns x[0::count], x[1::count], ... along an axis, each padded with zeros or cropped to a size."""
    x = pad_axis(x, axis, 0, count * size - x.shape[axis])
    x = x.reshape(*x.shape[:axis], size, count, *x.shape[axis + 1 :])
    return [jax.lax.index_in_dim(x, phase, axis + 1, keepdims=False) for phase in range(count)]


def _multiply_and_scatter(x: jax.Array, w: jax.Array, up: int) -> jax.Array:
    """Multiplies every pixel with every tap, then sums the products that fall on the same pixel."""
    kernel_height, kernel_width, channels_in, channels_out = w.shape
    products = x @ w.transpose(2, 0, 1, 3).reshape(channels_in, -1)
    products = products.reshape(*x.shape[:3], kernel_height, kernel_width, channels_out)
    rows = _scatter([products[:, :, :, tap] for tap in range(kernel_height)], 1, up)  # [N, H', W, kw, O]
    return _scatter([rows[:, :, :, tap] for tap in range(kernel_width)], 2, up)  # [N, H', W', O]


def _scatter(products: list[jax.Array], axis: int, up: int) -> jax.Array:
    """Sums, for each output phase, the products of the taps that meet pixels there; interleaves the phases."""
    before = _windows_before(len(products), up)
    phases = [jnp.zeros((), products[0].dtype)] * up
    for tap, product in enumerate(products):
        # The window at up * j + phase meets with this tap the pixel j + shift, where phase + tap = up * shift.
        phase, shift = -tap % up, -(-tap // up)
        phases[phase] = phases[phase] + pad_axis(product, axis, before - shift, shift)
    shape = (*products[0].shape[:axis], products[0].shape[axis] + before, *products[0].shape[axis + 1 :])
    y = jnp.stack([jnp.broadcast_to(phase, shape) for phase in phases], axis=axis + 1)
    return y.reshape(*shape[:axis], shape[axis] * up, *shape[axis + 1 :])


def _windows_before(taps: int, up: int) -> int:
    """Returns the number of windows, `up` apart, that begin before the first pixel and reach it."""
    return (taps - 1 + up - 1) // up
