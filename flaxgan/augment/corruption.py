"""Corruptions: additive noise and cutout.

References:
  Karras et al. 2020a, appendix B.
"""

import jax
import jax.numpy as jnp

from flaxgan.augment.draws import Draws, applied, drawn
from flaxgan.augment.spec import AugmentSpec
from flaxgan.errors import FieldError


def add_noise(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Adds white noise to all channels. Its standard deviation is drawn for each image.

    Args:
      images: float [N, H, W, C].
      draws: random numbers.
      p: probability, a scalar factor of all strengths.
      spec: the enabled augmentations and their strengths.

    Returns:
      [N, H, W, C].
    """
    if not spec.noise:
        return images
    draw, noise_image = drawn(draws, "noise"), draws.noise_image
    if noise_image is None:
        raise FieldError("draws.noise_image", None, f"an array {images.shape}, because spec.noise is {spec.noise}")
    sigma = applied(draw, jnp.abs(draw.value) * spec.noise_std, spec.noise * p, neutral=0)
    return images + noise_image * sigma[:, None, None, None]


def cut_out(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Sets a rectangle to 0 in all channels. Its centre is drawn for each image.

    Args:
      images: float [N, H, W, C].
      draws: random numbers.
      p: probability, a scalar factor of all strengths.
      spec: the enabled augmentations and their strengths.

    Returns:
      [N, H, W, C].
    """
    if not spec.cutout:
        return images
    draw = drawn(draws, "cutout")
    centre = draw.value
    # A rectangle of negative size covers no pixel, not even its centre.
    size = applied(draw, jnp.full_like(centre, spec.cutout_size), spec.cutout * p, neutral=-1)  # [N, 2]
    height, width = images.shape[1:3]
    in_columns = _covered(width, centre[:, 0], size[:, 0])
    in_rows = _covered(height, centre[:, 1], size[:, 1])
    covered = in_rows[:, :, None] & in_columns[:, None, :]  # [N, H, W]
    return jnp.where(covered[..., None], 0, images)


def _covered(num_pixels: int, centre: jax.Array, size: jax.Array) -> jax.Array:
    """Returns whether the middle of each pixel of an axis lies within size / 2 of the centre, bool [N, pixels].

    Args:
      num_pixels: length of the axis.
      centre: [N], as a fraction of the axis.
      size: [N], as a fraction of the axis.
    """
    middle = (jnp.arange(num_pixels, dtype=centre.dtype) + 0.5) / num_pixels
    return jnp.abs(middle - centre[:, None]) < size[:, None] / 2
