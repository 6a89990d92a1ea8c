"""Penalties on input gradients and Jacobians in first-order form, and on weights; for regularizers and on their own.

The result of a first-order form has the penalty's value, and its *mean* over the batch has the penalty's exact
gradient with respect to everything that the given function closes over and to its input. It is computed by one reverse
pass over a forward-mode derivative instead of reverse over reverse, at a fraction of the cost. These functions cannot
be differentiated twice.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def input_gradient_penalty(discriminate: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """Computes |grad_x sum(D(x))|^2 per image, [N], with the exact gradient of its mean in first-order form.

    With v = stop_gradient(grad_x sum D), the gradient of |v|^2 is that of 2 * jvp(D, x, v).

    Args:
      discriminate: images [N, ...] -> logits [N].
      images: float [N, ...].

    Raises:
      FieldError: if the logits have another shape.
    """
    gradient = _input_gradient(discriminate, images)
    _, directional = jax.jvp(discriminate, (images,), (gradient,))
    return _with_gradient_of(_sum_per_image(jnp.square(gradient)), 2 * directional)


def input_gradient_norm_penalty(
    discriminate: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    penalize: Callable[[jax.Array], jax.Array],
    *,
    epsilon: float = 0.0,
) -> jax.Array:
    """Penalizes the norms |grad_x sum(D(x))|, [N], with the exact gradient of the penalty's mean in first-order form.

    With g = grad_x sum D and v = d mean(penalty) / d g, both held constant, the gradient of the mean penalty is that of
    <v, g> = sum(jvp(D, x, v)).

    Args:
      discriminate: images [N, ...] -> logits [N].
      images: float [N, ...].
      penalize: norms [N] -> penalty [N]. It may compare the images of the batch, as a maximum does.
      epsilon: added to the squared norm before the root. With 0, a gradient of 0 has the norm 0 and is not moved.

    Raises:
      FieldError: if the logits have another shape.
    """
    gradient = _input_gradient(discriminate, images)

    def mean_penalty(gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        penalty = penalize(_root(_sum_per_image(jnp.square(gradient)) + epsilon))
        return jnp.mean(penalty), penalty

    tangent, penalty = jax.grad(mean_penalty, has_aux=True)(gradient)
    _, directional = jax.jvp(discriminate, (images,), (tangent,))
    return _with_gradient_of(penalty, images.shape[0] * directional)


def path_length_penalty(
    synthesize: Callable[[jax.Array], jax.Array],
    ws: jax.Array,
    image_noise: jax.Array,
    pl_mean: jax.Array,
    *,
    decay: float = 0.01,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes (|J_w^T y| - a)^2, where J_w^T y comes from `jax.vjp` of the synthesis network.

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
      FieldError: if the images have another shape than the noise.

    References:
      Karras et al. 2020b, section 3.2, equation 4; the reference code averages over layers.
    """
    height, width = image_noise.shape[1:3]
    y = image_noise / jnp.sqrt(jnp.asarray(height * width, image_noise.dtype))
    images, pullback = jax.vjp(synthesize, ws)
    if image_noise.shape != images.shape:
        raise FieldError("image_noise", Words(f"shape {image_noise.shape}"), f"{images.shape}, that of the images")
    jacobian_product = jax.lax.stop_gradient(pullback(y.astype(images.dtype))[0])  # J^T y, [N, L, D]

    def mean_penalty(jacobian_product: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
        lengths = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(jacobian_product), axis=2), axis=1))
        new_mean = pl_mean + decay * (jnp.mean(lengths) - pl_mean)
        penalty = jnp.square(lengths - new_mean)
        return jnp.mean(penalty), (penalty, new_mean, lengths)

    tangent, (penalty, new_mean, lengths) = jax.grad(mean_penalty, has_aux=True)(jacobian_product)
    # The gradient of mean(penalty) is that of <J^T y, tangent> = <y, J tangent> with the tangent held constant.
    _, moved = jax.jvp(synthesize, (ws,), (tangent,))
    return _with_gradient_of(penalty, ws.shape[0] * _sum_per_image(y * moved)), new_mean, lengths


def orthogonality(params: Any, *, off_diagonal: bool = True, embeddings: bool = False) -> jax.Array:
    """Computes the sum over all kernels W [outputs, everything else] of |W W^T * (1 - I)|_F^2, in at least float32.

    Args:
      params: parameter tree; see `flaxgan.losses.regularizers.orthogonal` for what counts as a kernel.
      off_diagonal: False takes W W^T - I instead of W W^T * (1 - I).
      embeddings: whether embeddings count.

    Raises:
      FieldError: if the tree has no kernel.

    References:
      Brock et al. 2019 (BigGAN), equation 3.
    """
    rows = (_rows_of_outputs(path, leaf, embeddings) for path, leaf in jax.tree_util.tree_leaves_with_path(params))
    matrices = [matrix for matrix in rows if matrix is not None]
    if not matrices:
        raise FieldError("params", Words("no kernel"), "a tree with leaves kernel or weight of two axes or more")
    return sum((jnp.sum(jnp.square(_gram_error(one, off_diagonal))) for one in matrices), start=jnp.zeros(()))


def _rows_of_outputs(path: tuple[Any, ...], leaf: jax.Array, embeddings: bool) -> jax.Array | None:
    """Returns a leaf as a matrix [outputs, everything else], or None if it is not a kernel."""
    name = path[-1].key
    if name in ("kernel", "weight") and leaf.ndim > 1:
        return leaf.reshape(-1, leaf.shape[-1]).T
    return leaf if name == "embedding" and embeddings else None


def _gram_error(matrix: jax.Array, off_diagonal: bool) -> jax.Array:
    matrix = jnp.asarray(matrix)
    matrix = matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))
    gram = jnp.matmul(matrix, matrix.T, precision="highest")
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return gram * (1 - identity) if off_diagonal else gram - identity


def _input_gradient(discriminate: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """Returns grad_x sum(D(x)), held constant, in the images' shape."""
    logits, pullback = jax.vjp(discriminate, images)
    if logits.shape != images.shape[:1]:
        raise FieldError("discriminate", Words(f"logits of shape {logits.shape}"), str(images.shape[:1]))
    return jax.lax.stop_gradient(pullback(jnp.ones_like(logits))[0])


def _sum_per_image(x: jax.Array) -> jax.Array:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def _root(x: jax.Array) -> jax.Array:
    """Computes sqrt(x), with a derivative of 0 at 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


def _with_gradient_of(value: jax.Array, surrogate: jax.Array) -> jax.Array:
    """Returns the value of one array with the gradient of another."""
    return jax.lax.stop_gradient(value) + (surrogate - jax.lax.stop_gradient(surrogate))
