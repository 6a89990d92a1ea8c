"""Adaptive Gaussian noise on D's inputs: it grows as D's score runs away from 0.5 (Karras et al. 2018, appendix B).

The score is state of the run: it starts at 0 and follows D's mean logit. With the paper's least-squares targets (reals
0, fakes 1) a mean logit of the fakes near 1 says that D wins.
"""

import jax
import jax.numpy as jnp


def noise_strength(score: jax.Array, *, weight: float = 0.2, threshold: float = 0.5) -> jax.Array:
    """Standard deviation of the noise, weight * max(score - threshold, 0)^2.

    Args:
      score: moving average of D's mean logit, float, any shape.
      weight: factor of the square.
      threshold: up to this score there is no noise.

    Reference: Karras et al. 2018, appendix B: 0.2 * max(0, d - 0.5)^2.
    """
    return weight * jnp.square(jnp.maximum(score - threshold, 0))


def update_score(score: jax.Array, mean_logit: jax.Array, *, decay: float = 0.9, clip: bool = True) -> jax.Array:
    """The moving average after one step, decay * score + (1 - decay) * clip(mean_logit, 0, 1).

    Args:
      score: the average so far, scalar, 0 before training.
      mean_logit: mean of D's logits over the global batch of this step; no gradient passes.
      decay: share of the old average, 0 to 1.
      clip: whether the mean is clipped to [0, 1] first, as in the reference code.

    Reference: Karras et al. 2018, appendix B: d_t = 0.1 d + 0.9 d_{t-1}.
    """
    mean_logit = jax.lax.stop_gradient(mean_logit)
    if clip:
        mean_logit = jnp.clip(mean_logit, 0, 1)
    return decay * score + (1 - decay) * mean_logit


def add_noise(images: jax.Array, strength: jax.Array, noise: jax.Array) -> jax.Array:
    """images + strength * noise, in the images' dtype.

    Args:
      images: float [N, H, W, C].
      strength: scalar, as `noise_strength` returns it.
      noise: standard normal, [N, H, W, C].

    Raises:
      ValueError: if the noise has another shape than the images.
    """
    if noise.shape != images.shape:
        raise ValueError(f"noise: found shape {noise.shape}, allowed: {images.shape}, that of the images")
    return images + (strength * noise).astype(images.dtype)
