"""Factors and paddings of images: how they are written and how they are applied."""

import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp

Factor = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[int, int, int, int]


def parse_factor(factor: Factor, name: str) -> tuple[int, int]:
    """A resampling factor, an int or (x, y), as (x, y).

    Raises:
      ValueError: if it is neither, or below 1; `name` is the argument's name for the message.
    """
    pair = _ints(factor if isinstance(factor, tuple | list) else (factor, factor))
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name}: found {factor!r}, allowed: an int or (x, y), at least 1")
    return pair


def parse_padding(padding: Padding) -> tuple[int, int, int, int]:
    """A padding in pixels, an int, (x, y) or (x0, x1, y0, y1), as (x0, x1, y0, y1); negative crops.

    Raises:
      ValueError: if it is none of these.
    """
    values = _ints(padding if isinstance(padding, tuple | list) else (padding,) * 4)
    if len(values) == 2:
        x, y = values
        return (x, x, y, y)
    if len(values) != 4:
        raise ValueError(f"padding: found {padding!r}, allowed: an int, (x, y) or (x0, x1, y0, y1)")
    return values


def pad_axis(x: jax.Array, axis: int, before: int, after: int, *, zeros_between: int = 0) -> jax.Array:
    """x with zeros before, after and between the elements of one axis; negative numbers crop."""
    if before == after == zeros_between == 0:
        return x
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (before, after, zeros_between)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), config)


def pad_image(x: jax.Array, padding: tuple[int, int, int, int]) -> jax.Array:
    """An image [N, H, W, C] with (x0, x1, y0, y1) zeros around it; negative numbers crop."""
    x0, x1, y0, y1 = padding
    if (x0, x1, y0, y1) == (0, 0, 0, 0):
        return x
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (y0, y1, 0), (x0, x1, 0), (0, 0, 0)))


def _ints(values: Sequence) -> tuple[int, ...]:
    """The values as ints, or () if one of them is none. An np.integer counts as an int; a bool or a float does not."""
    if any(isinstance(value, bool) or not hasattr(value, "__index__") for value in values):
        return ()
    return tuple(operator.index(value) for value in values)
