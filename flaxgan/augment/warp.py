"""Affine warping without aliasing: reflect, upsample, sample bilinearly, downsample.

The parts are linear in the images, so derivatives of any order exist. Implementation:

- The FIR filters are weighted sums of shifted slices. Their transposes are written by hand (`linear_call`), because the
  transposes of autodiff are 4 to 5 times slower on CPU. As a consequence jax.vmap has no rule for them; use the batch
  axis.
- The bilinear sampling is four gathers of pixels, each [N, 2H + 10, 2W + 10], which compilers fuse with the weighting.
  Its transpose is four scatters. Nothing larger than the upsampled image is stored. Gathers are slow on a TPU, but no
  product of small matrices computes the same numbers. On a GPU the order in which the scatters add is not fixed unless
  XLA_FLAGS=--xla_gpu_deterministic_ops=true.

References:
  Karras et al. 2020a, appendix B.2 and figure 15: orthogonal lowpass filters keep an identity map lossless.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import linear_call

from flaxgan.ops.fir import filter_axis

SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
"""The orthogonal lowpass filter of the wavelet sym6 (Daubechies 1992, table 6.3)."""

LOWPASS = (np.asarray(SYM6) / np.sum(SYM6)).tolist()
FILTER_REACH_PX = len(LOWPASS) // 2  # Upsampling and downsampling each reach 3 pixels of the image to each side.


@functools.partial(jax.jit, static_argnums=2)  # One program instead of many small operations, also in eager mode.
def affine(images: jax.Array, to_input: jax.Array, largest_margin_px: tuple[int, int]) -> jax.Array:
    """Warps each image by an affine map. Outside its border an image continues as its reflection.

    Args:
      images: float [N, H, W, C].
      to_input: maps [N, 3, 3] from pixels of the output to pixels of the input, (x, y) from the image's centre.
      largest_margin_px: (x, y) pixels reflected on each side; pixels farther away are 0. At most (W - 1, H - 1).

    Returns:
      [N, H, W, C]. Each image is reflected as far as its own corners reach, and is 0 beyond. The official code reflects
      all images of a batch as far as the one that reaches farthest. The results differ in the tails of the filters (at
      most 1e-4, median 3e-7), and here no image depends on another.
    """
    size = (images.shape[2], images.shape[1])
    before, after = _margins_px(to_input, size, largest_margin_px)  # [N, 2] each
    enlarged = images
    for axis, i in ((2, 0), (1, 1)):
        enlarged = _reflect(enlarged, axis, largest_margin_px[i], before[:, i], after[:, i])
        enlarged = _double(enlarged, axis)
    x, y = _positions(to_input, size)  # [N, 2H + 10, 2W + 10] each
    first = 2 * (jnp.asarray(largest_margin_px, before.dtype) - before)
    last = first + 2 * (before + jnp.asarray(size, before.dtype) + after) - 1
    origin = 2 * np.asarray(largest_margin_px)
    sampled = _bilinear(enlarged, x + origin[0], y + origin[1], first, last)
    return _halve(_halve(sampled, 2), 1)


def _margins_px(to_input: jax.Array, size: tuple[int, int], largest: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Returns the whole pixels that each image reaches beyond its first and last sides, each [N, 2] (x, y)."""
    half = (jnp.asarray(size, to_input.dtype) - 1) / 2
    reach = jnp.sum(jnp.abs(to_input[:, :2, :2]) * half, axis=2)  # Reach of the corners without the translation.
    move = to_input[:, :2, 2]
    limit = jnp.asarray(largest, to_input.dtype)
    before, after = (jnp.ceil(reach + shift + FILTER_REACH_PX - half) for shift in (-move, move))
    return jnp.clip(before, 0, limit), jnp.clip(after, 0, limit)


def _reflect(x: jax.Array, axis: int, margin: int, before: jax.Array, after: jax.Array) -> jax.Array:
    """Extends one axis by a margin on both sides: reflections of `before` and `after` [N] pixels, then zeros."""
    size = x.shape[axis]
    padding = [(0, 0)] * x.ndim
    padding[axis] = (margin, margin)
    position = jnp.arange(size + 2 * margin) - margin
    inside = (position >= -before[:, None]) & (position < size + after[:, None])  # [N, size + 2 margin]
    inside = jnp.expand_dims(inside, [other for other in range(1, x.ndim) if other != axis])
    return jnp.where(inside, jnp.pad(x, padding, mode="reflect"), 0)


def _positions(to_input: jax.Array, size: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Returns the positions of the enlarged output's samples in the enlarged input, x and y [N, 2H + 10, 2W + 10].

    Sample 5 + 2 j of the output is pixel j; position 2 j of the input is pixel j.
    """
    width, height = size
    u = (jnp.arange(2 * width + 10, dtype=to_input.dtype) - (width + 4)) / 2
    v = (jnp.arange(2 * height + 10, dtype=to_input.dtype) - (height + 4)) / 2
    u, v = u[None, None, :], v[None, :, None]
    # Products of scalars, because a matmul could run in lower precision.
    a = to_input[:, :, :, None, None]
    x, y = (a[:, i, 0] * u + a[:, i, 1] * v + a[:, i, 2] for i in (0, 1))
    return 2 * x + (width - 1), 2 * y + (height - 1)


def _bilinear(images: jax.Array, x: jax.Array, y: jax.Array, first: jax.Array, last: jax.Array) -> jax.Array:
    """Samples [N, H, W, C] at positions x, y [N, P, Q]; pixels outside first..last ([N, 2], (x, y)) are 0."""
    height, width = images.shape[1:3]
    pixels = images.reshape(images.shape[0], height * width, images.shape[3])
    first, last = first[:, :, None, None], last[:, :, None, None]
    left, top = jnp.floor(x), jnp.floor(y)

    def pixel(column: jax.Array, row: jax.Array) -> jax.Array:
        inside = (column >= first[:, 0]) & (column <= last[:, 0]) & (row >= first[:, 1]) & (row <= last[:, 1])
        weight = (1 - jnp.abs(x - column)) * (1 - jnp.abs(y - row))
        index = jnp.clip(row, 0, height - 1).astype(jnp.int32) * width + jnp.clip(column, 0, width - 1).astype(
            jnp.int32
        )
        found = jnp.take_along_axis(pixels, index.reshape(len(index), -1, 1), axis=1, mode="promise_in_bounds")
        return found.reshape(*index.shape, -1) * jnp.where(inside, weight, 0)[..., None]

    return pixel(left, top) + pixel(left + 1, top) + pixel(left, top + 1) + pixel(left + 1, top + 1)


def _double(x: jax.Array, axis: int) -> jax.Array:
    """Doubles the samples of one axis: inserts zeros, then applies the lowpass filter."""
    taps = [2 * tap for tap in LOWPASS]
    return linear_call(
        lambda _, x: filter_axis(x, taps[::-1], axis, up=2, padding=(6, 5)),
        lambda _, y: filter_axis(y, taps, axis, down=2, padding=(5, 5)),
        (),
        x,
    )


def _halve(x: jax.Array, axis: int) -> jax.Array:
    """Halves the samples of one axis: applies the adjoint lowpass filter without padding, then keeps every second."""
    return linear_call(
        lambda _, x: filter_axis(x, LOWPASS, axis, down=2),
        lambda _, y: filter_axis(y, LOWPASS[::-1], axis, up=2, padding=(11, 10)),
        (),
        x,
    )
