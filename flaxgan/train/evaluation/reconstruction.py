"""Reconstruction of images through estimated latents, for families whose discriminator estimates them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words
from flaxgan.types import Gan

SCALE = 0.9
"""Standard deviation of the latents from which images are reconstructed, that of all official O-GAN scripts."""


def encode(gan: Gan, d_variables: Mapping[str, Any], images: jax.Array, labels: jax.Array | None = None) -> jax.Array:
    """Estimates the latents of images. Only the direction of an estimate is meaningful, not its length.

    Args:
      gan: networks with `gan.encodes`.
      d_variables: the first argument of `gan.discriminator.apply`.
      images: float [N, H, W, C] in [-1, 1].
      labels: int32 [N] or float [N, K]; ignored by unconditional networks.

    Returns:
      z_hat [N, Z], the features of D in evaluation mode.

    Raises:
      FieldError: if the discriminator does not estimate latents.

    References:
      Su 2019, "O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks".
    """
    if not gan.encodes:
        raise FieldError("gan", Words("a discriminator that does not encode"), "networks with encodes=True")
    output: Any = gan.discriminator.apply(d_variables, images, labels)
    return output.features


def reconstruct(
    gan: Gan,
    g_variables: Mapping[str, Any],
    d_variables: Mapping[str, Any],
    images: jax.Array,
    labels: jax.Array | None = None,
    *,
    scale: float | jax.Array = SCALE,
) -> jax.Array:
    """Encodes images and generates images from the estimated latents.

    Args:
      gan: networks with `gan.encodes`.
      g_variables: the first argument of `gan.generator.apply`.
      d_variables: the first argument of `gan.discriminator.apply`.
      images: float [N, H, W, C] in [-1, 1].
      labels: int32 [N] or float [N, K]; ignored by unconditional networks.
      scale: standard deviation of the decoded latents over the latent axis. 1 is that of training, and smaller values
        give more typical images.

    Returns:
      Images [N, H, W, C] in [-1, 1]; a style-based generator uses its constant noise.
    """
    options: dict[str, Any] = {"noise_mode": "const"} if gan.has_style else {}
    z = scale * standardize(encode(gan, d_variables, images, labels))
    generated: Any = gan.generator.apply(g_variables, z, labels, **options)
    return generated


def standardize(z_hat: jax.Array) -> jax.Array:
    """Standardizes estimates [N, Z] to mean 0 and standard deviation 1 over Z; a constant estimate becomes 0.

    References:
      The official O-GAN code, where it writes reconstructions. A minimum standard deviation of 1e-12 is added here.
    """
    centred = z_hat - jnp.mean(z_hat, axis=1, keepdims=True)
    return centred / jnp.maximum(jnp.std(z_hat, axis=1, keepdims=True), 1e-12)
