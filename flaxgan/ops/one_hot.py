"""Conversion of class labels to the vectors that networks take."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def label_vectors(labels: jax.Array | None, num_classes: int) -> jax.Array | None:
    """Converts class indices or label vectors to float vectors.

    Args:
      labels: integer [N] class indices in [0, K), or float [N, K] vectors; None where there are no classes. Code under
        jit cannot detect an index out of range, which gives a zero vector; the data pipeline checks the range.
      num_classes: K; 0 is unconditional.

    Returns:
      float32 [N, K] (float64 if given), one-hot for indices; None if num_classes is 0, for any labels.

    Raises:
      FieldError: if num_classes > 0 and the labels are missing or have another shape or dtype.
    """
    return None if num_classes == 0 else class_vectors(labels, num_classes)


def class_vectors(labels: jax.Array | None, num_classes: int) -> jax.Array:
    """Converts the labels of a conditional network to float vectors; see `label_vectors`.

    Args:
      labels: integer [N] or float [N, K]. None is in the signature for callers with optional labels, and raises.
      num_classes: K, at least 1.

    Returns:
      float32 [N, K] (float64 if given).

    Raises:
      FieldError: if the labels are missing or have another shape or dtype.
    """
    if labels is None:
        raise FieldError("labels", None, f"int [N] or float [N, {num_classes}] for {num_classes} classes")
    labels = jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.ndim == 1:
        return jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    if jnp.issubdtype(labels.dtype, jnp.floating) and labels.ndim == 2 and labels.shape[1] == num_classes:
        return labels.astype(jnp.promote_types(labels.dtype, jnp.float32))
    raise FieldError("labels", Words(f"{labels.dtype} {labels.shape}"), f"int [N] or float [N, {num_classes}]")
