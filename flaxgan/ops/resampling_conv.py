"""Convolutions that resample by themselves: every down-th pixel of the result, or up - 1 zeros between pixels.

Each has two forms of the same arithmetic. On CPU it is one matrix product over all taps of the kernel, with shifted
slices before or after it: its gradients are matrix products, too, where the compiler's own convolutions with strides
leave their fast path. Elsewhere it is the native convolution, which keeps no copy of the image for each tap.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flaxgan.ops.padding import pad_axis

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def downsampling_conv(x: jax.Array, w: jax.Array, down: int) -> jax.Array:
    """Every down-th pixel, beginning with the first, of the correlation of x with w without padding.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I, O], in x's dtype.
      down: factor, at least 1.

    Returns:
      [N, floor((H - kh) / down) + 1, floor((W - kw) / down) + 1, O].
    """

    def native(x, w):
        return jax.lax.conv_general_dilated(x, w, (down, down), "VALID", dimension_numbers=_LAYOUT)

    return _by_platform(lambda x, w: _gather_and_multiply(x, w, down), native, x, w)


def upsampling_conv(x: jax.Array, w: jax.Array, up: int) -> tuple[jax.Array, tuple[int, int]]:
    """The correlation with w of x with up - 1 zeros after every pixel, at all places where it is not 0.

    Args:
      x: float [N, H, W, I].
      w: [kh, kw, I, O], in x's dtype.
      up: factor, at least 1.

    Returns:
      (y, (before_y, before_x)): y is [N, H * up + before_y, W * up + before_x, O]; its pixel (before_y, before_x) is
      the one whose window begins at x's first pixel.
    """
    before = tuple(_windows_before(taps, up) * up for taps in w.shape[:2])

    def native(x, w):
        padding = [(first, up + taps - 2) for first, taps in zip(before, w.shape[:2], strict=True)]
        return jax.lax.conv_general_dilated(x, w, (1, 1), padding, lhs_dilation=(up, up), dimension_numbers=_LAYOUT)

    return _by_platform(lambda x, w: _multiply_and_scatter(x, w, up), native, x, w), before


def _by_platform(on_cpu: Callable, elsewhere: Callable, x: jax.Array, w: jax.Array) -> jax.Array:
    """Only the form of the platform that a program is compiled for becomes part of the program."""
    return jax.lax.platform_dependent(x, w, cpu=on_cpu, default=elsewhere)


def _gather_and_multiply(x: jax.Array, w: jax.Array, down: int) -> jax.Array:
    """Lays the pixels that the taps meet side by side as channels, then multiplies."""
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
    """x[0::count], x[1::count], ... along an axis, each padded with zeros or cropped to a size."""
    x = pad_axis(x, axis, 0, count * size - x.shape[axis])
    x = x.reshape(*x.shape[:axis], size, count, *x.shape[axis + 1 :])
    return [jax.lax.index_in_dim(x, phase, axis + 1, keepdims=False) for phase in range(count)]


def _multiply_and_scatter(x: jax.Array, w: jax.Array, up: int) -> jax.Array:
    """Multiplies every pixel with every tap, then adds up the products that fall on the same pixel."""
    kernel_height, kernel_width, channels_in, channels_out = w.shape
    products = x @ w.transpose(2, 0, 1, 3).reshape(channels_in, -1)
    products = products.reshape(*x.shape[:3], kernel_height, kernel_width, channels_out)
    rows = _scatter([products[:, :, :, tap] for tap in range(kernel_height)], 1, up)  # [N, H', W, kw, O]
    return _scatter([rows[:, :, :, tap] for tap in range(kernel_width)], 2, up)  # [N, H', W', O]


def _scatter(products: list[jax.Array], axis: int, up: int) -> jax.Array:
    """Interleaves, along an axis, the sums of the products with those taps that meet pixels in each output phase."""
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
    """How many multiples of `up` before the first pixel windows reach that pixel."""
    return (taps - 1 + up - 1) // up
