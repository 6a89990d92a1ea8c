"""The controller of adaptive augmentation: the probability p follows the overfitting of the discriminator.

References:
  Karras et al. 2020a, section 3: the heuristic r_t = E[sign(D(real))].
"""

from typing import Any

import flax
import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError


@flax.struct.dataclass
class AdaState:
    """State of the controller: scalars that are part of the train state.

    Attributes:
      p: float32, probability of augmentation.
      sign_sum: float32, sum of sign(D(real)) since the last update.
      sign_count: float32, number of those signs.
    """

    p: jax.Array
    sign_sum: jax.Array
    sign_count: jax.Array


def init(p: float = 0.0) -> AdaState:
    """Returns the state before training.

    Args:
      p: initial probability, at least 0.

    Raises:
      FieldError: if p is negative.
    """
    if p < 0:
        raise FieldError("p", p, "at least 0")
    return AdaState(jnp.asarray(p, float), jnp.zeros(()), jnp.zeros(()))


def accumulate(state: AdaState, real_logits: jax.Array) -> AdaState:
    """Adds the signs of D's logits on a batch of real images.

    The discriminator's adversarial phase calls this with its logits on augmented reals. (The official code also counts
    the R1 phase, which sees the same images again.)

    Args:
      state: the state so far.
      real_logits: float [N] of the global batch, before any sign or loss.

    Returns:
      The state with the signs added.
    """
    signs = jnp.sign(jax.lax.stop_gradient(real_logits)).astype(state.sign_sum.dtype)
    return AdaState(state.p, state.sign_sum + jnp.sum(signs), state.sign_count + signs.size)


def update(
    state: AdaState, *, images_per_update: int, target: float, kimg: float, p_max: float | None = None
) -> AdaState:
    """Moves p by a fixed step so that r_t approaches the target, and starts a new mean.

    p grows if r_t, the mean sign since the last update, is above the target, and shrinks if it is below:
    p += sign(r_t - target) * images_per_update / (1000 kimg). If no sign was added, p does not change.

    Args:
      state: the state with the signs of the interval.
      images_per_update: number of real images from one update to the next, batch size * interval.
      target: target of r_t, in [-1, 1].
      kimg: thousands of images in which p can change by 1.
      p_max: upper bound of p. None sets no bound, as in the official code; an augmentation of strength 1 reaches its
        largest effect at p = 1.

    Returns:
      The state with the new p, at least 0, and empty sums.
    """
    r_t = state.sign_sum / jnp.maximum(state.sign_count, 1)
    direction = jnp.where(state.sign_count > 0, jnp.sign(r_t - target), 0)
    p = jnp.clip(state.p + direction * (images_per_update / (1000 * kimg)), 0, p_max)
    return AdaState(p, jnp.zeros_like(state.sign_sum), jnp.zeros_like(state.sign_count))


def maybe_update(state: AdaState, step: jax.Array | int, *, interval: int, **settings: Any) -> AdaState:
    """Applies `update` after every `interval` steps, under jit.

    Args:
      state: the state after `accumulate` of this step.
      step: number of completed steps, including this one; may be traced.
      interval: number of steps between two updates.
      **settings: the keyword arguments of `update`.
    """
    updated = update(state, **settings)
    return jax.tree.map(lambda new, old: jnp.where(step % interval == 0, new, old), updated, state)
