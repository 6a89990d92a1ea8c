"""Corruptions: additive noise and cutout. Reference: Karras et al. 2020a, appendix B."""

import jax
import jax.numpy as jnp

from flaxgan.augment.draws import Draws, applied
from flaxgan.augment.spec import AugmentSpec


def add_noise(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Adds white noise to all channels, of a standard deviation that is drawn for each image.

    Args:
      images: float [N, H, W, C].
      draws: random numbers.
      p: probability, a scalar that the strengths are multiplied by.
      spec: which augmentations.

    Returns:
      [N, H, W, C].
    """
    if not spec.noise:
        return images
    sigma = applied(draws.noise, jnp.abs(draws.noise.value) * spec.noise_std, spec.noise * p, neutral=0)
    return images + draws.noise_image * sigma[:, None, None, None]


def cut_out(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Sets a rectangle, whose centre is drawn for each image, to 0 in all channels; arguments as for `add_noise`.

    Returns:
      [N, H, W, C].
    """
    if not spec.cutout:
        return images
    centre = draws.cutout.value
    # A rectangle of negative size covers no pixel, not even its centre.
    size = applied(draws.cutout, jnp.full_like(centre, spec.cutout_size), spec.cutout * p, neutral=-1)  # [N, 2]
    height, width = images.shape[1:3]
    in_columns = _covered(width, centre[:, 0], size[:, 0])
    in_rows = _covered(height, centre[:, 1], size[:, 1])
    covered = in_rows[:, :, None] & in_columns[:, None, :]  # [N, H, W]
    return jnp.where(covered[..., None], 0, images)


def _covered(num_pixels: int, centre: jax.Array, size: jax.Array) -> jax.Array:
    """Which pixels of an axis have their middle within size / 2 of the centre, bool [N, pixels]; shares of the axis."""
    middle = (jnp.arange(num_pixels, dtype=centre.dtype) + 0.5) / num_pixels
    return jnp.abs(middle - centre[:, None]) < size[:, None] / 2
