"""Images to latents and back, for families whose discriminator estimates the latent that an image comes from."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.types import Gan

SCALE = 0.8
"""Standard deviation of the latents that images are reconstructed from, that of the official O-GAN code."""


def encode(gan: Gan, d_variables: Mapping[str, Any], images: jax.Array, labels: jax.Array | None = None) -> jax.Array:
    """Estimates the latents that images come from. The direction of an estimate means something, its length nothing.

    Args:
      gan: networks of which `gan.encodes` is true.
      d_variables: what `gan.discriminator.apply` takes first.
      images: float [N, H, W, C] in [-1, 1].
      labels: int32 [N] or float [N, K]; ignored by unconditional networks.

    Returns:
      z_hat [N, Z], D's features in evaluation mode.

    Raises:
      ValueError: if the discriminator does not encode.

    Reference: Su 2019, "O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks".
    """
    if not gan.encodes:
        raise ValueError("gan: found a discriminator that does not encode, allowed: networks with encodes=True")
    return gan.discriminator.apply(d_variables, images, labels).features


def reconstruct(
    gan: Gan,
    g_variables: Mapping[str, Any],
    d_variables: Mapping[str, Any],
    images: jax.Array,
    labels: jax.Array | None = None,
    *,
    scale: float | jax.Array = SCALE,
) -> jax.Array:
    """Encodes images and generates images from the estimates.

    Args:
      gan, d_variables, images, labels: as for `encode`.
      g_variables: what `gan.generator.apply` takes first.
      scale: standard deviation over the latent axis of what is decoded; 1 is that of the latents in training, less
        gives more typical images.

    Returns:
      Images [N, H, W, C] in [-1, 1]; a style-based generator uses its constant noise.
    """
    options = {"noise_mode": "const"} if gan.has_style else {}
    z = scale * standardize(encode(gan, d_variables, images, labels))
    return gan.generator.apply(g_variables, z, labels, **options)


def standardize(z_hat: jax.Array) -> jax.Array:
    """Estimates [N, Z] with mean 0 and standard deviation 1 over Z, as latents have; a constant one becomes 0.

    Reference: the official O-GAN code, where it writes reconstructions; a least deviation of 1e-12 is added here.
    """
    centred = z_hat - jnp.mean(z_hat, axis=1, keepdims=True)
    return centred / jnp.maximum(jnp.std(z_hat, axis=1, keepdims=True), 1e-12)
