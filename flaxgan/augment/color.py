"""Colour transformations: the affine maps of colour space of each image are composed first and applied once.

The number of channels C decides which of them are colours. With 3, all channels are (RGB). With 4, the first three are,
and alpha stays as it is. With 1 or 2, the first channel is (grey), and the second is alpha. With any other C, all C
channels are colours, whose grey axis is (1, ..., 1) / sqrt(C). Hue rotates colours around the grey axis, which is
defined in three dimensions: for any other number of colours it has no effect. On grey, saturation has no effect either.

References:
  Karras et al. 2020a, appendix B. The official code takes 1 or 3 channels, for which the results are the same.
"""

import math

import jax
import jax.numpy as jnp

from flaxgan.augment.draws import Draws, applied, drawn
from flaxgan.augment.matrices import homogeneous, product
from flaxgan.augment.spec import AugmentSpec


def transform(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Changes brightness, contrast, luma, hue and saturation of a batch of images.

    Args:
      images: float [N, H, W, C].
      draws: random numbers.
      p: probability, a scalar factor of all strengths.
      spec: the enabled augmentations and their strengths.

    Returns:
      [N, H, W, C]; values are not clipped to [-1, 1].
    """
    num_colors = count_colors(images.shape[3])
    maps = [*_scaling_and_moving(draws, p, spec, num_colors), *_around_grey(draws, p, spec, num_colors)]
    if not maps:
        return images
    matrix = product(maps[::-1])  # [N, colors + 1, colors + 1]; the first map is applied first.
    colors, alpha = images[..., :num_colors], images[..., num_colors:]
    linear, offset = matrix[:, :num_colors, :num_colors], matrix[:, None, None, :num_colors, num_colors]
    # A matrix product, though small: XLA would fuse a sum over channels with the warp, and compute pixels thrice.
    colors = jnp.einsum("nij,nhwj->nhwi", linear, colors, precision=jax.lax.Precision.HIGHEST) + offset
    return jnp.concatenate([colors, alpha], axis=3)


def count_colors(num_channels: int) -> int:
    """Returns the number of channels that are colours; see the module's docstring."""
    return {2: 1, 4: 3}.get(num_channels, num_channels)


def _scaling_and_moving(draws: Draws, p: jax.Array, spec: AugmentSpec, num_colors: int) -> list[jax.Array]:
    """Returns the maps of brightness and contrast, if enabled."""
    maps = []
    if spec.brightness > 0:
        draw = drawn(draws, "brightness")
        offset = applied(draw, draw.value * spec.brightness_std, spec.brightness * p, neutral=0)  # [N]
        offset = jnp.broadcast_to(offset[:, None], (len(offset), num_colors))
        identity = jnp.broadcast_to(jnp.eye(num_colors, dtype=offset.dtype), (*offset.shape, num_colors))
        maps.append(homogeneous(identity, offset))
    if spec.contrast > 0:
        draw = drawn(draws, "contrast")
        factor = applied(draw, jnp.exp2(draw.value * spec.contrast_std), spec.contrast * p, neutral=1)
        maps.append(_linear(factor[:, None, None] * jnp.eye(num_colors, dtype=factor.dtype)))
    return maps


def _around_grey(draws: Draws, p: jax.Array, spec: AugmentSpec, num_colors: int) -> list[jax.Array]:
    """Returns the maps of lumaflip, hue and saturation, if enabled."""
    maps = []
    dtype = p.dtype
    identity = jnp.eye(num_colors, dtype=dtype)
    onto_grey = jnp.full((num_colors, num_colors), 1 / num_colors, dtype)
    if spec.lumaflip > 0:
        draw = drawn(draws, "lumaflip")
        flips = applied(draw, jnp.floor(2 * draw.value), spec.lumaflip * p, neutral=0)
        maps.append(_linear(identity - 2 * onto_grey * flips[:, None, None]))
    if spec.hue > 0 and num_colors == 3:
        draw = drawn(draws, "hue")
        angle = applied(draw, (2 * draw.value - 1) * (math.pi * spec.hue_max), spec.hue * p, neutral=0)[:, None, None]
        # Rodrigues: the part along the axis stays, the rest rotates towards its cross product with the axis.
        cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype) / math.sqrt(3)
        maps.append(_linear(onto_grey + jnp.cos(angle) * (identity - onto_grey) + jnp.sin(angle) * cross))
    if spec.saturation > 0:
        draw = drawn(draws, "saturation")
        factor = applied(draw, jnp.exp2(draw.value * spec.saturation_std), spec.saturation * p, neutral=1)[
            :, None, None
        ]
        maps.append(_linear(onto_grey + factor * (identity - onto_grey)))
    return maps


def _linear(matrix: jax.Array) -> jax.Array:
    return homogeneous(matrix, jnp.zeros_like(matrix[:, 0]))
