"""Penalties on input gradients in first-order form, for the regularizers and for use on their own.

What is returned has the penalty's value, and its *mean* over the batch has the penalty's exact gradient with respect to
everything that the given function closes over and to its input. It is computed by one reverse pass over a forward-mode
derivative instead of reverse over reverse, at a fraction of the cost. These functions cannot be differentiated twice.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def input_gradient_penalty(discriminate: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """|grad_x sum(D(x))|^2 per image, [N], with the exact gradient of its mean in first-order form.

    With v = stop_gradient(grad_x sum D), the gradient of |v|^2 is that of 2 * jvp(D, x, v).

    Args:
      discriminate: images [N, ...] -> logits [N].
      images: float [N, ...].

    Raises:
      ValueError: if the logits have another shape.
    """
    logits, pullback = jax.vjp(discriminate, images)
    if logits.shape != images.shape[:1]:
        raise ValueError(f"discriminate: found logits of shape {logits.shape}, allowed: {images.shape[:1]}")
    gradient = jax.lax.stop_gradient(pullback(jnp.ones_like(logits))[0])
    _, directional = jax.jvp(discriminate, (images,), (gradient,))
    value = jnp.sum(jnp.square(gradient), axis=tuple(range(1, gradient.ndim)))
    return _with_gradient_of(value, 2 * directional)


def path_length_penalty(
    synthesize: Callable[[jax.Array], jax.Array],
    ws: jax.Array,
    image_noise: jax.Array,
    pl_mean: jax.Array,
    *,
    decay: float = 0.01,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(|J_w^T y| - a)^2, where J_w^T y comes from `jax.vjp` of the synthesis network.

    The length of an image is sqrt(mean over layers of sum over D of (J_w^T y)^2), and a is the moving average of the
    mean length over the batch. The update of a is part of the penalty: it is not detached.

    Args:
      synthesize: ws [N, L, D] -> images [N, H, W, C].
      ws: one w per layer, [N, L, D].
      image_noise: standard normal noise in the images' shape, [N, H, W, C]; it is divided by sqrt(H * W) here.
      pl_mean: a before this step, scalar.
      decay: share of the new mean length in a.

    Returns:
      (penalty [N], the updated a, lengths [N]).

    Raises:
      ValueError: if the images have another shape than the noise.

    Reference: Karras et al. 2020b, section 3.2, equation 4; the reference code averages over layers.
    """
    height, width = image_noise.shape[1:3]
    y = image_noise / jnp.sqrt(jnp.asarray(height * width, image_noise.dtype))
    images, pullback = jax.vjp(synthesize, ws)
    if image_noise.shape != images.shape:
        raise ValueError(f"image_noise: found shape {image_noise.shape}, allowed: {images.shape}, that of the images")
    jacobian_product = jax.lax.stop_gradient(pullback(y.astype(images.dtype))[0])  # J^T y, [N, L, D]

    def mean_penalty(jacobian_product):
        lengths = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(jacobian_product), axis=2), axis=1))
        new_mean = pl_mean + decay * (jnp.mean(lengths) - pl_mean)
        penalty = jnp.square(lengths - new_mean)
        return jnp.mean(penalty), (penalty, new_mean, lengths)

    tangent, (penalty, new_mean, lengths) = jax.grad(mean_penalty, has_aux=True)(jacobian_product)
    # The gradient of mean(penalty) is that of <J^T y, tangent> = <y, J tangent> with the tangent held constant.
    _, moved = jax.jvp(synthesize, (ws,), (tangent,))
    surrogate = ws.shape[0] * jnp.sum(y * moved, axis=tuple(range(1, moved.ndim)))
    return _with_gradient_of(penalty, surrogate), new_mean, lengths


def _with_gradient_of(value: jax.Array, surrogate: jax.Array) -> jax.Array:
    """The value of one array with the gradient of another."""
    return jax.lax.stop_gradient(value) + surrogate - jax.lax.stop_gradient(surrogate)
