"""Regularizers: one pure function each, (what it looks at, *, settings) -> (penalty [N], changes of the train state).

An argument's name says what it is: the trainer supplies what a function asks for (`discriminate`, `real_images`,
`synthesize`, `ws`, `image_noise`, `pl_mean`), a recipe the keyword-only rest (`gamma`, `weight`, `decay`). The trainer
adds the penalty's mean to the loss; both functions use the first-order forms of `flaxgan.losses.penalties`.
"""

from collections.abc import Callable

import jax

from flaxgan.losses.penalties import input_gradient_penalty, path_length_penalty


def r1(
    discriminate: Callable[[jax.Array], jax.Array], real_images: jax.Array, *, gamma: float = 10.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Gradient penalty on real images, gamma/2 * |grad_x D(x)|^2.

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      gamma: weight of the penalty.

    Returns:
      (penalty [N], {}): no train state changes.

    Reference: Mescheder et al. 2018, equation 9. The gradient is that of the summed logits, so that terms through which
      images of a minibatch-stddev group see each other are included, as in the StyleGAN2 code.
    """
    return 0.5 * gamma * input_gradient_penalty(discriminate, real_images), {}


def path_length(
    synthesize: Callable[[jax.Array], jax.Array],
    ws: jax.Array,
    image_noise: jax.Array,
    pl_mean: jax.Array,
    *,
    weight: float = 2.0,
    decay: float = 0.01,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Path length regularization of a style-based generator as a recipe names it; see `path_length_penalty`.

    Returns:
      (weight * penalty [N], {"pl_mean": the updated mean}).
    """
    penalty, new_mean, _ = path_length_penalty(synthesize, ws, image_noise, pl_mean, decay=decay)
    return weight * penalty, {"pl_mean": new_mean}
