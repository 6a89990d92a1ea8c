"""Local response normalization: activations divided by the strength of their neighbours among the channels."""

import jax
import jax.numpy as jnp
import numpy as np


def local_response_norm(
    x: jax.Array,
    *,
    size: int | None = None,
    alpha: float = 1.0,
    beta: float = 0.5,
    k: float = 1e-8,
    average: bool = True,
) -> jax.Array:
    """x / (k + alpha * mean of x^2 over a window of channels)^beta.

    The window of channel c holds the `size` channels c - size // 2 ... c + (size - 1) // 2; those outside of x count as
    zeros. With `size` None the window of every channel holds all C of them: the defaults are then pixel norm,
    x / sqrt(mean(x^2) + 1e-8).

    Args:
      x: float [..., C].
      size: channels in a window, at least 1; None for all.
      alpha: weight of the neighbours, not negative.
      beta: exponent.
      k: positive; keeps the denominator from zero.
      average: whether alpha multiplies the sum of squares over the window's size (PyTorch's form, also at the borders,
        where part of the window lies outside) or the plain sum (the form of AlexNet and TensorFlow).

    Returns:
      Array of x's shape and dtype; computed in float32, or in float64 if x is.

    Raises:
      ValueError: if x has no axis, or size, alpha or k is out of range.

    Reference: Krizhevsky et al. 2012, section 3.3; its full-window case is Karras et al. 2018, section 4.2.
    """
    if x.ndim < 1:
        raise ValueError(f"x: found shape {x.shape}, allowed: [..., C]")
    if size is not None and size < 1:
        raise ValueError(f"size: found {size}, allowed: None or at least 1")
    if alpha < 0:
        raise ValueError(f"alpha: found {alpha}, allowed: at least 0")
    if k <= 0:
        raise ValueError(f"k: found {k}, allowed: above 0")
    activations = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    neighbours = _window_sum(jnp.square(activations), size)
    weight = alpha / (size or x.shape[-1]) if average else alpha
    return (activations * (k + weight * neighbours) ** -beta).astype(x.dtype)


def _window_sum(squares: jax.Array, size: int | None) -> jax.Array:
    """Sums over each channel's window, [..., C]; [..., 1] where it is the same for all."""
    if size is None:
        return jnp.sum(squares, axis=-1, keepdims=True)
    window = (*[1] * (squares.ndim - 1), size)
    padding = (*[(0, 0)] * (squares.ndim - 1), (size // 2, (size - 1) // 2))
    # Zero is a NumPy number, so that it is seen to be zero under jit: only then is this known to be a sum.
    return jax.lax.reduce_window(squares, np.zeros((), squares.dtype), jax.lax.add, window, (1,) * len(window), padding)
