"""Pixel blitting and geometric transformations: the maps of each image are composed first and applied once.

Coordinates are pixels (x, y) from the centre of the image, with x to the right and y down. Maps take positions in the
output to positions in the input.

References:
  Karras et al. 2020a, appendix B.
"""

import math

import jax
import jax.numpy as jnp

from flaxgan.augment import warp
from flaxgan.augment.draws import Draw, Draws, applied, drawn
from flaxgan.augment.matrices import product, rotation2d, scaling2d, translation2d
from flaxgan.augment.spec import AugmentSpec


def transform(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Blits and warps a batch of images.

    Args:
      images: float [N, H, W, C].
      draws: random numbers.
      p: probability, a scalar factor of all strengths.
      spec: the enabled augmentations and their strengths.

    Returns:
      [N, H, W, C]. Images are resampled even if their map is the identity (p = 0), which changes them by about 4e-6
      in float32. Only a spec without any of these augmentations returns the input itself.
    """
    size = (images.shape[2], images.shape[1])
    maps = [*_blitting(draws, p, spec, size), *_warping(draws, p, spec, size)]
    return warp.affine(images, product(maps), largest_margin_px(spec, size)) if maps else images


def _blitting(draws: Draws, p: jax.Array, spec: AugmentSpec, size: tuple[int, int]) -> list[jax.Array]:
    """Returns the maps [N, 3, 3] of xflip, rotate90 and xint, if enabled."""
    maps = []
    if spec.xflip > 0:
        draw = drawn(draws, "xflip")
        flips = applied(draw, jnp.floor(2 * draw.value), spec.xflip * p, neutral=0)
        maps.append(scaling2d(1 - 2 * flips, jnp.ones_like(flips)))
    if spec.rotate90 > 0:
        draw = drawn(draws, "rotate90")
        turns = applied(draw, jnp.floor(4 * draw.value), spec.rotate90 * p, neutral=0)
        maps.append(rotation2d(math.pi / 2 * turns))
    if spec.xint > 0:
        draw = drawn(draws, "xint")
        shares = (2 * draw.value - 1) * spec.xint_max  # [N, 2]
        moves = jnp.round(shares * jnp.asarray(size, shares.dtype))
        maps.append(_back(applied(draw, moves, spec.xint * p, neutral=0)))
    return maps


def _warping(draws: Draws, p: jax.Array, spec: AugmentSpec, size: tuple[int, int]) -> list[jax.Array]:
    """Returns the maps [N, 3, 3] of scale, rotate (in two halves), aniso and xfrac, if enabled."""
    maps = []
    # Each half rotates an image with this probability, so that the image is rotated with probability rotate * p.
    p_half = 1 - jnp.sqrt(jnp.clip(1 - spec.rotate * p, 0, 1))
    if spec.scale > 0:
        factor = _factor(drawn(draws, "scale"), spec.scale * p, spec.scale_std)
        maps.append(scaling2d(1 / factor, 1 / factor))
    if spec.rotate > 0:
        maps.append(rotation2d(_angle(drawn(draws, "rotate_pre"), p_half, spec.rotate_max)))
    if spec.aniso > 0:
        factor = _factor(drawn(draws, "aniso"), spec.aniso * p, spec.aniso_std)
        maps.append(scaling2d(1 / factor, factor))
    if spec.rotate > 0:
        maps.append(rotation2d(_angle(drawn(draws, "rotate_post"), p_half, spec.rotate_max)))
    if spec.xfrac > 0:
        draw = drawn(draws, "xfrac")
        moves = draw.value * spec.xfrac_std  # [N, 2]
        moves = moves * jnp.asarray(size, moves.dtype)
        maps.append(_back(applied(draw, moves, spec.xfrac * p, neutral=0)))
    return maps


def _factor(draw: Draw, probability: jax.Array, std: float) -> jax.Array:
    return applied(draw, jnp.exp2(draw.value * std), probability, neutral=1)


def _angle(draw: Draw, probability: jax.Array, half_turns: float) -> jax.Array:
    return applied(draw, (2 * draw.value - 1) * (math.pi * half_turns), probability, neutral=0)


def _back(moves: jax.Array) -> jax.Array:
    """Returns the map from output to input that moves images by [N, 2] pixels."""
    return translation2d(-moves[:, 0], -moves[:, 1])


def largest_margin_px(spec: AugmentSpec, size: tuple[int, int]) -> tuple[int, int]:
    """Returns how far outside the image the maps of a spec can reach, as far as a reflection extends.

    The official code pads by what each batch needs, which is not a static shape. If every draw is bounded, so is this
    padding. Otherwise the padding is the largest that a reflection allows.

    Args:
      spec: the enabled augmentations and their strengths.
      size: (W, H).

    Returns:
      (x, y) in pixels, the same on both sides, at most (W - 1, H - 1).
    """
    limits = [side - 1 for side in size]
    if max(spec.scale, spec.aniso, spec.xfrac) > 0:
        return limits[0], limits[1]
    centre = [limit / 2 for limit in limits]
    reach = [math.hypot(*centre)] * 2 if spec.rotate > 0 else centre
    if spec.xint > 0:
        reach = [r + math.ceil(spec.xint_max * side) for r, side in zip(reach, size, strict=True)]
    if spec.rotate90 > 0:
        reach = [max(reach)] * 2
    # One pixel more: rounding may push a corner past a whole number.
    x, y = (math.ceil(r - c) + warp.FILTER_REACH_PX + 1 for r, c in zip(reach, centre, strict=True))
    return min(x, limits[0]), min(y, limits[1])
