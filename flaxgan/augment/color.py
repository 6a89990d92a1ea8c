"""Colour transformations: one affine map of colour space per image, composed first and applied once.

What counts as colour depends on the number of channels C. With 3 it is all of RGB; with 4 the first three, and alpha is
left alone; with 1 or 2 it is the first, grey, and the second is alpha. Any other number counts as that many colours
whose grey axis is (1, ..., 1) / sqrt(C). Hue turns colours around the grey axis, which is defined in three dimensions:
for any other number of colours it does nothing. On grey, saturation changes nothing either.

Reference: Karras et al. 2020a, appendix B. The official code takes 1 or 3 channels, for which this is the same.
"""

import math

import jax
import jax.numpy as jnp

from flaxgan.augment.draws import Draws, applied
from flaxgan.augment.matrices import homogeneous, product
from flaxgan.augment.spec import AugmentSpec


def transform(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Changes brightness, contrast, luma, hue and saturation of a batch of images.

    Args:
      images: float [N, H, W, C].
      draws: random numbers.
      p: probability, a scalar that the strengths are multiplied by.
      spec: which augmentations.

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
    # A product, though small: a sum over channels would be fused with the warp, whose pixels it would compute thrice.
    colors = jnp.einsum("nij,nhwj->nhwi", linear, colors, precision=jax.lax.Precision.HIGHEST) + offset
    return jnp.concatenate([colors, alpha], axis=3)


def count_colors(num_channels: int) -> int:
    """How many of an image's channels are colours; the module's docstring says why."""
    return {2: 1, 4: 3}.get(num_channels, num_channels)


def _scaling_and_moving(draws: Draws, p: jax.Array, spec: AugmentSpec, num_colors: int) -> list[jax.Array]:
    """Maps of the enabled ones of brightness and contrast."""
    maps = []
    if spec.brightness > 0:
        value = draws.brightness.value * spec.brightness_std
        offset = applied(draws.brightness, value, spec.brightness * p, neutral=0)  # [N]
        offset = jnp.broadcast_to(offset[:, None], (len(offset), num_colors))
        identity = jnp.broadcast_to(jnp.eye(num_colors, dtype=offset.dtype), (*offset.shape, num_colors))
        maps.append(homogeneous(identity, offset))
    if spec.contrast > 0:
        value = jnp.exp2(draws.contrast.value * spec.contrast_std)
        factor = applied(draws.contrast, value, spec.contrast * p, neutral=1)
        maps.append(_linear(factor[:, None, None] * jnp.eye(num_colors, dtype=factor.dtype)))
    return maps


def _around_grey(draws: Draws, p: jax.Array, spec: AugmentSpec, num_colors: int) -> list[jax.Array]:
    """Maps of the enabled ones of lumaflip, hue and saturation."""
    maps = []
    dtype = p.dtype
    identity = jnp.eye(num_colors, dtype=dtype)
    onto_grey = jnp.full((num_colors, num_colors), 1 / num_colors, dtype)
    if spec.lumaflip > 0:
        flips = applied(draws.lumaflip, jnp.floor(2 * draws.lumaflip.value), spec.lumaflip * p, neutral=0)
        maps.append(_linear(identity - 2 * onto_grey * flips[:, None, None]))
    if spec.hue > 0 and num_colors == 3:
        value = (2 * draws.hue.value - 1) * (math.pi * spec.hue_max)
        angle = applied(draws.hue, value, spec.hue * p, neutral=0)[:, None, None]
        # Rodrigues: the part on the axis stays, the rest turns towards its cross product with the axis.
        cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype) / math.sqrt(3)
        maps.append(_linear(onto_grey + jnp.cos(angle) * (identity - onto_grey) + jnp.sin(angle) * cross))
    if spec.saturation > 0:
        value = jnp.exp2(draws.saturation.value * spec.saturation_std)
        factor = applied(draws.saturation, value, spec.saturation * p, neutral=1)[:, None, None]
        maps.append(_linear(onto_grey + factor * (identity - onto_grey)))
    return maps


def _linear(matrix: jax.Array) -> jax.Array:
    return homogeneous(matrix, jnp.zeros_like(matrix[:, 0]))
