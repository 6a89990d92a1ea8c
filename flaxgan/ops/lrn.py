"""Local response normalization, which divides activations by the strength of neighbouring channels."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.errors import FieldError, Words


def local_response_norm(
    x: jax.Array,
    *,
    size: int | None = None,
    alpha: float = 1.0,
    beta: float = 0.5,
    k: float = 1e-8,
    average: bool = True,
) -> jax.Array:
    """Computes x / (k + alpha * mean of x^2 over a window of channels)^beta.

    The window of channel c holds the `size` channels c - size // 2 ... c + (size - 1) // 2; channels outside of x count
    as zeros. With size=None every window holds all C channels, and the defaults then give pixel norm,
    x / sqrt(mean(x^2) + 1e-8).

    Args:
      x: float [..., C].
      size: channels in a window, at least 1; None for all.
      alpha: weight of the neighbours, at least 0.
      beta: exponent.
      k: above 0; keeps the denominator from zero.
      average: True divides the sum of squares by the size of the window, also at the borders, where part of the window
        lies outside (the form of PyTorch); False takes the plain sum (the form of AlexNet and TensorFlow).

    Returns:
      Array of x's shape and dtype; computed in float32, or in float64 if x is.

    Raises:
      FieldError: if x has no axis, or size, alpha or k is out of range.

    References:
      Krizhevsky et al. 2012, section 3.3; its full-window case is Karras et al. 2018, section 4.2.
    """
    if x.ndim < 1:
        raise FieldError("x", Words(f"shape {x.shape}"), "[..., C]")
    if size is not None and size < 1:
        raise FieldError("size", size, "None or at least 1")
    if alpha < 0:
        raise FieldError("alpha", alpha, "at least 0")
    if k <= 0:
        raise FieldError("k", k, "above 0")
    activations = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    neighbours = _window_sum(jnp.square(activations), size)
    weight = alpha / (size or x.shape[-1]) if average else alpha
    return (activations * (k + weight * neighbours) ** -beta).astype(x.dtype)


def _window_sum(squares: jax.Array, size: int | None) -> jax.Array:
    """Returns the sum over each channel's window, [..., C], or [..., 1] where all channels share one window."""
    if size is None:
        return jnp.sum(squares, axis=-1, keepdims=True)
    window = (*[1] * (squares.ndim - 1), size)
    padding = (*[(0, 0)] * (squares.ndim - 1), (size // 2, (size - 1) // 2))
    # As a NumPy number, zero is not traced under jit: only then does JAX recognize the reduction as a sum.
    return jax.lax.reduce_window(squares, np.zeros((), squares.dtype), jax.lax.add, window, (1,) * len(window), padding)
