"""Points between real and generated images, and penalties that pull the norm of D's gradient there to a target."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError
from flaxgan.losses.penalties import input_gradient_norm_penalty

Discriminate = Callable[[jax.Array], jax.Array]


def towards_target(
    discriminate: Discriminate,
    images: jax.Array,
    weight: float,
    target: float,
    *,
    one_sided: bool = False,
    epsilon: float = 0.0,
) -> jax.Array:
    """Returns weight / target^2 * (|grad_x D(x)| - target)^2, [N]; see `regularizers.gradient_penalty`."""
    if target <= 0:
        raise FieldError("target", target, "above 0 (r1 and r2 pull gradients to 0)")

    def penalize(norms):
        excess = jnp.maximum(norms - target, 0) if one_sided else norms - target
        return weight / target**2 * jnp.square(excess)

    return input_gradient_norm_penalty(discriminate, images, penalize, epsilon=epsilon)


def between(real_images: jax.Array, fake_images: jax.Array, share: jax.Array) -> jax.Array:
    """Returns share * real + (1 - share) * fake, with a share [N] of each pair of images [N, H, W, C]."""
    share = per_image(share, real_images)
    return share * real_images + (1 - share) * fake_images


def per_image(numbers: jax.Array, images: jax.Array) -> jax.Array:
    """Returns [N] in a shape that multiplies images of any number of axes, in their dtype."""
    return numbers.astype(images.dtype).reshape(-1, *[1] * (images.ndim - 1))
