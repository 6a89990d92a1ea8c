"""Convolution whose weights are scaled by a style: the layer that StyleGAN2 is made of.

Reference: Karras et al. 2020b, section 2.2, equations 1 to 3.
"""

import jax
import jax.numpy as jnp

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

    Scaling the weights' input channels by the style equals scaling the image's channels, and demodulation equals
    scaling the result's; so one convolution with shared weights serves the whole batch.

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
      [N, H', W', O] in x's dtype. In float16, and with demodulation, weights and styles are first scaled to keep
      intermediate values in range, which demodulation undoes (all but the 1e-8).

    Raises:
      ValueError: on wrong shapes.
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
    """`modulated_conv` as it is defined: weights of its own for each image."""
    _check_shapes(x, weight, styles)
    if x.dtype == jnp.float16 and demodulate:
        weight, styles = _normalize_for_float16(weight, styles)
    weights = weight * styles[:, None, None, :, None]  # [N, kh, kw, I, O]
    if demodulate:
        weights = weights * jax.lax.rsqrt(jnp.sum(jnp.square(weights), axis=(1, 2, 3), keepdims=True) + 1e-8)

    def convolve(image, weight):
        options = {"up": up, "down": down, "padding": padding, "flip_weight": flip_weight}
        return conv2d_resample_reference(image[None], weight, resample_filter, **options)[0]

    return _add_noise(jax.vmap(convolve)(x, weights.astype(x.dtype)), noise)


def _demodulation(weight: jax.Array, styles: jax.Array) -> jax.Array:
    """1 / the norm of the modulated weights, [N, O]."""
    weight_energy = jnp.sum(jnp.square(weight), axis=(0, 1))  # [I, O]
    return jax.lax.rsqrt(jnp.square(styles) @ weight_energy + 1e-8)


def _normalize_for_float16(weight: jax.Array, styles: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Weights with a largest magnitude of 1 / sqrt(fan in) per output channel, styles with one of 1 per image."""
    fan_in = weight.shape[0] * weight.shape[1] * weight.shape[2]
    weight = weight / (fan_in**0.5 * jnp.max(jnp.abs(weight), axis=(0, 1, 2), keepdims=True))
    return weight, styles / jnp.max(jnp.abs(styles), axis=1, keepdims=True)


def _add_noise(y: jax.Array, noise: jax.Array | None) -> jax.Array:
    if noise is None:
        return y
    if noise.shape == y.shape[1:3]:
        noise = noise[None, :, :, None]
    if noise.shape not in {(*y.shape[:3], 1), (1, *y.shape[1:3], 1)}:
        raise ValueError(f"noise: found shape {noise.shape}, allowed: {y.shape[1:3]} or {(*y.shape[:3], 1)}")
    return y + noise.astype(y.dtype)


def _check_shapes(x: jax.Array, weight: jax.Array, styles: jax.Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"x: found shape {x.shape}, allowed: [N, H, W, I]")
    if weight.ndim != 4 or weight.shape[2] != x.shape[3]:
        raise ValueError(f"weight: found shape {weight.shape}, allowed: [kh, kw, {x.shape[3]}, O]")
    if styles.shape != (x.shape[0], x.shape[3]):
        raise ValueError(f"styles: found shape {styles.shape}, allowed: {(x.shape[0], x.shape[3])}")
