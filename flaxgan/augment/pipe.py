"""The augmentation pipe of StyleGAN2-ADA as one function."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.augment import color, corruption, geometry, image_filter
from flaxgan.augment.draws import Draws, enabled
from flaxgan.augment.spec import AugmentSpec


def augment(images: jax.Array, draws: Draws, p: jax.Array | float, spec: AugmentSpec) -> jax.Array:
    """Augments a batch of images; every image with its own transformation, which does not depend on the others.

    For given draws the result is an affine function of the images, so that derivatives of every order exist, in forward
    and reverse direction. Under jit the batch may be sharded: nothing is communicated. jax.vmap is not supported.

    Args:
      images: float32 or float64 [N, H, W, C], real or generated, in [-1, 1]. Any height, width and number of channels.
        Everything but colour treats channels alike, alpha included; `flaxgan.augment.color` says what colour changes
        for 1 (grey), 2 (grey and alpha), 3 (RGB), 4 (RGBA) and more channels.
      draws: random numbers from `draw` or `percentile_draws` with the same spec and batch.
      p: probability in [0, 1], may be traced; each augmentation is applied with probability strength * p.
      spec: which augmentations, static.

    Returns:
      Images of the same shape and type, not clipped. The input itself if the spec enables nothing; with p = 0, the
      input up to the resampling of the geometric part (about 4e-6 in float32).

    Raises:
      ValueError: if the images' shape or type is none of the above, if a draw that the spec needs is missing or of
        another batch, or if imgfilter meets images with a side below 22 pixels.

    Reference: Karras et al. 2020a, "Training generative adversarial networks with limited data", section 2.2 and
      appendix B.
    """
    _check(images, draws, spec)
    p = jnp.asarray(p, images.dtype)
    for step in (geometry.transform, color.transform, image_filter.transform, corruption.add_noise, corruption.cut_out):
        images = step(images, draws, p, spec)
    return images


def _check(images: jax.Array, draws: Draws, spec: AugmentSpec) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images: found shape {images.shape}, allowed: [N, H, W, C] with at least one image and pixel")
    if images.dtype not in (np.float32, np.float64):
        raise ValueError(f"images: found {images.dtype}, allowed: float32 or float64")
    for name in enabled(spec):
        draw = getattr(draws, name)
        found = None if draw is None else draw.gate.shape[0]
        if found != images.shape[0]:
            raise ValueError(f"draws.{name}: found numbers of {found} images, allowed: {images.shape[0]}, the batch")
    if spec.noise > 0 and np.shape(draws.noise_image) != images.shape:
        raise ValueError(f"draws.noise_image: found shape {np.shape(draws.noise_image)}, allowed: {images.shape}")
