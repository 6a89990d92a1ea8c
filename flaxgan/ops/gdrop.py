"""Generalized dropout: multiplicative Gaussian noise on activations."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def generalized_dropout(x: jax.Array, noise: jax.Array, strength: jax.Array | float) -> jax.Array:
    """Computes x * (1 + noise * strength * sqrt(C)), with one factor for each sample and channel.

    Args:
      x: float [N, ..., C].
      noise: standard normal, [N, C].
      strength: scalar, at least 0; may be traced. The adaptive strength of PGGAN's least-squares loss is
        `flaxgan.augment.input_noise.noise_strength`.

    Returns:
      Array of x's shape and dtype; the factors are computed in float32, or in float64 if x is.

    Raises:
      FieldError: if the noise has another shape.

    References:
      Karras et al. 2018, appendix B; GDropLayer of the official code (Theano branch), mode "prop".
    """
    batch, channels = x.shape[0], x.shape[-1]
    if noise.shape != (batch, channels):
        raise FieldError("noise", Words(f"shape {noise.shape}"), str((batch, channels)))
    noise = noise.astype(jnp.promote_types(x.dtype, jnp.float32))
    factors = 1 + noise * (strength * channels**0.5)
    return x * factors.reshape(batch, *[1] * (x.ndim - 2), channels).astype(x.dtype)
