"""Reverse-mode differentiation of NumPy programs in float64, for references that share no code with the package.

An `Array` remembers of what it was computed. Only what the references need is here; test_tape.py compares each
operation with central differences.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Pullback = Callable[[np.ndarray], np.ndarray]


class Array:
    """A float64 array, and how gradients flow from it to those it was computed of."""

    __array_ufunc__ = None  # So that ndarray + Array is ours, too.

    def __init__(self, value: Any, parents: Sequence[tuple["Array", Pullback]] = ()):
        self.value = np.asarray(value, np.float64)
        self.parents = tuple(parents)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    def __add__(self, other: Any) -> "Array":
        other = array(other)
        return _of_both(self, other, self.value + other.value, lambda g: g, lambda g: g)

    def __mul__(self, other: Any) -> "Array":
        other = array(other)
        return _of_both(self, other, self.value * other.value, lambda g: g * other.value, lambda g: g * self.value)

    def __truediv__(self, other: Any) -> "Array":
        other = array(other)
        quotient = self.value / other.value
        return _of_both(self, other, quotient, lambda g: g / other.value, lambda g: -g * quotient / other.value)

    def __matmul__(self, other: "Array") -> "Array":
        left = lambda g: g @ np.swapaxes(other.value, -1, -2)
        right = lambda g: np.swapaxes(self.value, -1, -2) @ g
        return _of_both(self, other, self.value @ other.value, left, right)

    def __getitem__(self, index: Any) -> "Array":
        return Array(self.value[index], [(self, lambda g: _placed(g, index, self.shape))])

    def __neg__(self) -> "Array":
        return self * -1.0

    def __sub__(self, other: Any) -> "Array":
        return self + (-array(other))

    def __rsub__(self, other: Any) -> "Array":
        return -self + other

    def __pow__(self, exponent: float) -> "Array":
        slope = lambda g: g * exponent * self.value ** (exponent - 1)
        return Array(self.value**exponent, [(self, slope)])

    __radd__, __rmul__ = __add__, __mul__

    def reshape(self, *shape: int) -> "Array":
        return Array(self.value.reshape(*shape), [(self, lambda g: g.reshape(self.shape))])

    def swapaxes(self, first: int, second: int) -> "Array":
        return Array(np.swapaxes(self.value, first, second), [(self, lambda g: np.swapaxes(g, first, second))])

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> "Array":
        axes = tuple(range(self.value.ndim)) if axis is None else axis
        back = lambda g: np.broadcast_to(g if keepdims else np.expand_dims(g, axes), self.shape)
        return Array(self.value.sum(axis=axes, keepdims=keepdims), [(self, back)])

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> "Array":
        total = self.sum(axis, keepdims=keepdims)
        return total * (total.value.size / self.value.size)

    def max(self, axis: Any) -> "Array":
        largest = self.value.max(axis=axis, keepdims=True)
        back = lambda g: np.expand_dims(g, axis) * (self.value == largest)
        return Array(self.value.max(axis=axis), [(self, back)])


def array(value: Any) -> Array:
    """A value as a constant, or an Array as it is."""
    return value if isinstance(value, Array) else Array(value)


def leaky_relu(x: Array, slope: float = 0.0) -> Array:
    """max(x, slope x)."""
    factor = np.where(x.value > 0, 1.0, slope)
    return Array(x.value * factor, [(x, lambda g: g * factor)])


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    value = np.tanh(x.value)
    return Array(value, [(x, lambda g: g * (1 - value**2))])


def exp(x: Array) -> Array:
    """The exponential."""
    value = np.exp(x.value)
    return Array(value, [(x, lambda g: g * value)])


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    sigmoid = 0.5 * (1 + np.tanh(0.5 * x.value))
    return Array(np.logaddexp(0, x.value), [(x, lambda g: g * sigmoid)])


def place(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of a shape with x at an index."""
    return Array(_placed(x.value, index, shape), [(x, lambda g: g[index])])


def concatenate(arrays: Sequence[Array]) -> Array:
    """Arrays one after another along the first axis."""
    ends = np.cumsum([one.shape[0] for one in arrays])
    parts = [slice(end - one.shape[0], end) for one, end in zip(arrays, ends, strict=True)]
    parents = [(one, lambda g, part=part: g[part]) for one, part in zip(arrays, parts, strict=True)]
    return Array(np.concatenate([one.value for one in arrays]), parents)


def gradients(loss: Array, parameters: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """The gradient of a scalar by each of some arrays, zeros where there is none."""
    found: dict[int, np.ndarray] = {id(loss): np.ones(loss.shape)}
    for node in reversed(_ordered(loss)):
        for parent, pullback in node.parents:
            found[id(parent)] = found.get(id(parent), 0.0) + pullback(found[id(node)])
    return {name: found.get(id(one), np.zeros(one.shape)) for name, one in parameters.items()}


def _ordered(last: Array) -> list[Array]:
    """All arrays that one was computed of, each after those that it was computed of."""
    order: list[Array] = []
    seen: set[int] = set()
    pending = [(last, False)]
    while pending:
        node, is_done = pending.pop()
        if is_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending += [(node, True), *((parent, False) for parent, _ in node.parents)]
    return order


def _of_both(left: Array, right: Array, value: np.ndarray, to_left: Pullback, to_right: Pullback) -> Array:
    parents = [
        (one, lambda g, one=one, to=to: _summed(to(g), one.shape)) for one, to in ((left, to_left), (right, to_right))
    ]
    return Array(value, parents)


def _summed(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sums over the axes along which an array of a shape was broadcast."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1)
    return gradient.sum(axis=stretched, keepdims=True)


def _placed(values: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(shape)
    np.add.at(whole, index, values)
    return whole
