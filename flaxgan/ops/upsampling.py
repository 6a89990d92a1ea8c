"""Doubling of feature maps, in the three ways of generators with residual blocks."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words
from flaxgan.ops.resampling import nearest_upsample

UPSAMPLINGS = ("nearest", "bilinear", "zeros")


def upsample(x: jax.Array, method: str) -> jax.Array:
    """Doubles height and width.

    Args:
      x: float [N, H, W, C].
      method: 'nearest' repeats each pixel. 'bilinear' interpolates between the centres of pixels, and keeps the value
        of the outermost pixels beyond their centres. 'zeros' inserts a zero after each pixel in both directions, which
        divides the mean by 4.

    Returns:
      [N, 2 H, 2 W, C] in x's dtype.

    Raises:
      FieldError: on another method, or if x is not [N, H, W, C].

    References:
      'nearest' is that of Miyato et al. 2018 (SNGAN) and most later networks, 'bilinear' that of the mimicry library,
      'zeros' that of compare_gan, the code of Chen et al. 2019 (SELF-MOD).
    """
    if method not in UPSAMPLINGS:
        raise FieldError("upsampling", method, ", ".join(UPSAMPLINGS))
    if method == "nearest":
        return nearest_upsample(x, 2)
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    if method == "zeros":
        between = (0, 1, 1)
        return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), between, between, (0, 0, 0)))
    return _interpolate(_interpolate(x, 1), 2)


def _interpolate(x: jax.Array, axis: int) -> jax.Array:
    """Interpolates two pixels for each, a quarter of a pixel before and after its centre; constants stay constant."""
    first, last = (jax.lax.slice_in_dim(x, start, end, axis=axis) for start, end in ((0, 1), (-1, None)))
    before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, -1, axis=axis)], axis=axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, None, axis=axis), last], axis=axis)
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
