"""Adaptive Gaussian noise on the inputs of D. It grows as the score of D exceeds 0.5.

The score is part of the train state: it starts at 0 and follows the mean logit of D. With the least-squares targets of
the paper (reals 0, fakes 1), a mean logit of the fakes near 1 means that D wins.

References:
  Karras et al. 2018, appendix B.
"""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def noise_strength(score: jax.Array, *, weight: float = 0.2, threshold: float = 0.5) -> jax.Array:
    """Computes the standard deviation of the noise, weight * max(score - threshold, 0)^2.

    Args:
      score: moving average of the mean logit of D, float, any shape.
      weight: factor of the square.
      threshold: score up to which there is no noise.

    References:
      Karras et al. 2018, appendix B: 0.2 * max(0, d - 0.5)^2.
    """
    return weight * jnp.square(jnp.maximum(score - threshold, 0))


def update_score(score: jax.Array, mean_logit: jax.Array, *, decay: float = 0.9, clip: bool = True) -> jax.Array:
    """Computes the moving average after one step, decay * score + (1 - decay) * clip(mean_logit, 0, 1).

    Args:
      score: the average so far, a scalar, 0 before training.
      mean_logit: mean logit of D over the global batch of this step; its gradient is stopped.
      decay: weight of the previous average, 0 to 1.
      clip: whether the mean logit is first clipped to [0, 1], as in the reference code.

    References:
      Karras et al. 2018, appendix B: d_t = 0.1 d + 0.9 d_{t-1}.
    """
    mean_logit = jax.lax.stop_gradient(mean_logit)
    if clip:
        mean_logit = jnp.clip(mean_logit, 0, 1)
    return decay * score + (1 - decay) * mean_logit


def add_noise(images: jax.Array, strength: jax.Array, noise: jax.Array) -> jax.Array:
    """Computes images + strength * noise in the dtype of the images.

    Args:
      images: float [N, H, W, C].
      strength: a scalar, the result of `noise_strength`.
      noise: standard normal, [N, H, W, C].

    Raises:
      FieldError: if the noise and the images differ in shape.
    """
    if noise.shape != images.shape:
        raise FieldError("noise", Words(f"shape {noise.shape}"), f"{images.shape}, the shape of the images")
    return images + (strength * noise).astype(images.dtype)
