"""The augmentation pipe of StyleGAN2-ADA as one function."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.augment import color, corruption, geometry, image_filter
from flaxgan.augment.draws import Draws, enabled
from flaxgan.augment.spec import AugmentSpec
from flaxgan.errors import FieldError, Words


def augment(images: jax.Array, draws: Draws, p: jax.Array | float, spec: AugmentSpec) -> jax.Array:
    """Augments a batch of images. Each image has its own transformation, which does not depend on the other images.

    For given draws the result is an affine function of the images, so derivatives of every order exist, in forward and
    reverse mode. Under jit the batch may be sharded: nothing is communicated. jax.vmap is not supported.

    Args:
      images: float32 or float64 [N, H, W, C], real or generated, in [-1, 1]. Any height, width and number of channels.
        All augmentations except those of colour treat all channels alike, including alpha. See
        `flaxgan.augment.color` for 1 (grey), 2 (grey and alpha), 3 (RGB), 4 (RGBA) and more channels.
      draws: random numbers from `draw` or `percentile_draws` for the same spec and batch.
      p: probability in [0, 1], may be traced. Each augmentation is applied with probability strength * p.
      spec: the enabled augmentations and their strengths; static.

    Returns:
      Images of the same shape and dtype, not clipped. If the spec enables nothing, the input itself. With p = 0, the
      input up to the resampling of the geometric part (about 4e-6 in float32).

    Raises:
      FieldError: if the shape or dtype of the images is not allowed, if a draw that the spec needs is missing or of
        another batch, or if imgfilter is enabled and a side is below 22 pixels.

    References:
      Karras et al. 2020a, "Training generative adversarial networks with limited data", section 2.2 and appendix B.
    """
    _check(images, draws, spec)
    p = jnp.asarray(p, images.dtype)
    for step in (geometry.transform, color.transform, image_filter.transform, corruption.add_noise, corruption.cut_out):
        images = step(images, draws, p, spec)
    return images


def _check(images: jax.Array, draws: Draws, spec: AugmentSpec) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise FieldError("images", Words(f"shape {images.shape}"), "[N, H, W, C] with at least one image and pixel")
    if images.dtype not in (np.float32, np.float64):
        raise FieldError("images", Words(images.dtype), "float32 or float64")
    for name in enabled(spec):
        draw = getattr(draws, name)
        found = None if draw is None else draw.gate.shape[0]
        if found != images.shape[0]:
            raise FieldError(f"draws.{name}", Words(f"numbers of {found} images"), f"{images.shape[0]}, the batch")
    noise_shape = () if draws.noise_image is None else np.shape(draws.noise_image)
    if spec.noise > 0 and noise_shape != images.shape:
        raise FieldError("draws.noise_image", Words(f"shape {noise_shape}"), f"{images.shape}")
