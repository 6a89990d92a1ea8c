"""Resampling factors and paddings of images: parsing and application."""

import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError

Factor = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[int, int, int, int]


def parse_factor(factor: Factor, name: str) -> tuple[int, int]:
    """Returns a resampling factor, an int or (x, y), as (x, y).

    Raises:
      FieldError: if it is neither, or below 1; `name` is the name of the argument in the message.
    """
    pair = _ints(factor if isinstance(factor, tuple | list) else (factor, factor))
    if len(pair) != 2 or min(pair) < 1:
        raise FieldError(name, factor, "an int or (x, y), at least 1")
    x, y = pair
    return (x, y)


def parse_padding(padding: Padding) -> tuple[int, int, int, int]:
    """Returns a padding in pixels, an int, (x, y) or (x0, x1, y0, y1), as (x0, x1, y0, y1); negative values crop.

    Raises:
      FieldError: if it is none of these.
    """
    values = _ints(padding if isinstance(padding, tuple | list) else (padding,) * 4)
    if len(values) == 2:
        x, y = values
        return (x, x, y, y)
    if len(values) != 4:
        raise FieldError("padding", padding, "an int, (x, y) or (x0, x1, y0, y1)")
    x0, x1, y0, y1 = values
    return (x0, x1, y0, y1)


def pad_axis(x: jax.Array, axis: int, before: int, after: int, *, zeros_between: int = 0) -> jax.Array:
    """Inserts zeros before, after and between the elements of one axis of x; negative numbers crop."""
    if before == after == zeros_between == 0:
        return x
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (before, after, zeros_between)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), config)


def pad_image(x: jax.Array, padding: tuple[int, int, int, int]) -> jax.Array:
    """Pads images [N, H, W, C] with (x0, x1, y0, y1) zeros; negative numbers crop."""
    x0, x1, y0, y1 = padding
    if (x0, x1, y0, y1) == (0, 0, 0, 0):
        return x
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (y0, y1, 0), (x0, x1, 0), (0, 0, 0)))


def _ints(values: Sequence) -> tuple[int, ...]:
    """Returns the values as ints, or () if one is not an int. An np.integer is an int; a bool or a float is not."""
    if any(isinstance(value, bool) or not hasattr(value, "__index__") for value in values):
        return ()
    return tuple(operator.index(value) for value in values)
