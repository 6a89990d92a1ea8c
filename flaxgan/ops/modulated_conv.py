"""Modulated convolution, whose weights a style scales: the layer on which StyleGAN2 is built.

References:
  Karras et al. 2020b, section 2.2, equations 1 to 3.
"""

from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words
from flaxgan.ops.conv import conv2d_resample, conv2d_resample_reference
from flaxgan.ops.fir import Filter
from flaxgan.ops.padding import Padding


def modulated_conv(
    x: jax.Array,
    weight: jax.Array,
    styles: jax.Array,
    *,
    noise: jax.Array | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    resample_filter: Filter = None,
    demodulate: bool = True,
    flip_weight: bool = True,
) -> jax.Array:
    """Convolves each image with the weights modulated by its style, optionally demodulated and resampled.

    Scaling the input channels of the weights equals scaling the channels of the image, and demodulation equals scaling
    the channels of the result. One convolution with shared weights therefore serves the whole batch.

    Args:
      x: float [N, H, W, I]; its dtype is the compute dtype.
      weight: float32 [kh, kw, I, O].
      styles: float32 [N, I].
      noise: added after demodulation; [H', W'] for the whole batch, [N, H', W', 1], or None.
      up: upsampling factor, before the convolution.
      down: downsampling factor, after the convolution.
      padding: see `conv2d_resample`.
      resample_filter: FIR filter of the resampling, from `setup_filter`; None is the identity.
      demodulate: divide each output channel by the norm of its modulated weights,
        sqrt(sum over I, kh, kw of (w * s)^2 + 1e-8), computed in float32.
      flip_weight: True correlates, False convolves.

    Returns:
      [N, H', W', O] in x's dtype. In float16 with demodulation, weights and styles are first scaled to keep
      intermediate values in range; demodulation undoes this scaling, up to the 1e-8.

    Raises:
      FieldError: on wrong shapes.
    """
    _check_shapes(x, weight, styles)
    if x.dtype == jnp.float16 and demodulate:
        weight, styles = _normalize_for_float16(weight, styles)
    y = conv2d_resample(
        x * styles.astype(x.dtype)[:, None, None, :],
        weight.astype(x.dtype),
        resample_filter,
        up=up,
        down=down,
        padding=padding,
        flip_weight=flip_weight,
    )
    if demodulate:
        y = y * _demodulation(weight, styles).astype(x.dtype)[:, None, None, :]
    return _add_noise(y, noise)


def modulated_conv_reference(
    x: jax.Array,
    weight: jax.Array,
    styles: jax.Array,
    *,
    noise: jax.Array | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    resample_filter: Filter = None,
    demodulate: bool = True,
    flip_weight: bool = True,
) -> jax.Array:
    """Computes `modulated_conv` by its definition, with separate weights for each image."""
    _check_shapes(x, weight, styles)
    if x.dtype == jnp.float16 and demodulate:
        weight, styles = _normalize_for_float16(weight, styles)
    weights = weight * styles[:, None, None, :, None]  # [N, kh, kw, I, O]
    if demodulate:
        weights = weights * jax.lax.rsqrt(jnp.sum(jnp.square(weights), axis=(1, 2, 3), keepdims=True) + 1e-8)

    def convolve(image: jax.Array, weight: jax.Array) -> jax.Array:
        options: dict[str, Any] = {"up": up, "down": down, "padding": padding, "flip_weight": flip_weight}
        return conv2d_resample_reference(image[None], weight, resample_filter, **options)[0]

    return _add_noise(jax.vmap(convolve)(x, weights.astype(x.dtype)), noise)


def _demodulation(weight: jax.Array, styles: jax.Array) -> jax.Array:
    """Returns 1 / the norm of the modulated weights, [N, O]."""
    weight_energy = jnp.sum(jnp.square(weight), axis=(0, 1))  # [I, O]
    return jax.lax.rsqrt(jnp.square(styles) @ weight_energy + 1e-8)


def _normalize_for_float16(weight: jax.Array, styles: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scales weights to a largest magnitude of 1 / sqrt(fan in) per output channel, and styles to 1 per image."""
    fan_in = weight.shape[0] * weight.shape[1] * weight.shape[2]
    weight = weight / (fan_in**0.5 * jnp.max(jnp.abs(weight), axis=(0, 1, 2), keepdims=True))
    return weight, styles / jnp.max(jnp.abs(styles), axis=1, keepdims=True)


def _add_noise(y: jax.Array, noise: jax.Array | None) -> jax.Array:
    if noise is None:
        return y
    if noise.shape == y.shape[1:3]:
        noise = noise[None, :, :, None]
    if noise.shape not in {(*y.shape[:3], 1), (1, *y.shape[1:3], 1)}:
        raise FieldError("noise", Words(f"shape {noise.shape}"), f"{y.shape[1:3]} or {(*y.shape[:3], 1)}")
    return y + noise.astype(y.dtype)


def _check_shapes(x: jax.Array, weight: jax.Array, styles: jax.Array) -> None:
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, I]")
    if weight.ndim != 4 or weight.shape[2] != x.shape[3]:
        raise FieldError("weight", Words(f"shape {weight.shape}"), f"[kh, kw, {x.shape[3]}, O]")
    if styles.shape != (x.shape[0], x.shape[3]):
        raise FieldError("styles", Words(f"shape {styles.shape}"), str((x.shape[0], x.shape[3])))
