"""Bias, activation, gain and clamp, with which almost every layer ends."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


class Activation(NamedTuple):
    """An activation function and its defaults in `bias_act`.

    Attributes:
      function: (x, alpha) -> activated x; all but lrelu ignore alpha.
      gain: default factor on the result, chosen so that it about keeps unit variance.
      alpha: default slope of the negative side.
    """

    function: Callable[[jax.Array, float], jax.Array]
    gain: float = 1.0
    alpha: float = 0.0


# At exactly 0 the derivative of relu and lrelu is the negative side's, as in PyTorch.
ACTIVATIONS = {
    "linear": Activation(lambda x, alpha: x),
    "relu": Activation(lambda x, alpha: jax.nn.relu(x), gain=math.sqrt(2)),
    "lrelu": Activation(lambda x, alpha: jnp.where(x > 0, x, x * alpha), gain=math.sqrt(2), alpha=0.2),
    "tanh": Activation(lambda x, alpha: jnp.tanh(x)),
    "sigmoid": Activation(lambda x, alpha: jax.nn.sigmoid(x)),
    "elu": Activation(lambda x, alpha: jax.nn.elu(x)),
    "selu": Activation(lambda x, alpha: jax.nn.selu(x)),
    "softplus": Activation(lambda x, alpha: jax.nn.softplus(x)),
    "swish": Activation(lambda x, alpha: jax.nn.silu(x), gain=math.sqrt(2)),
}


def bias_act(
    x: jax.Array,
    b: jax.Array | None = None,
    *,
    activation: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    axis: int = -1,
) -> jax.Array:
    """Computes clip(activation(x + b) * gain, -clamp, clamp).

    Args:
      x: float array of any shape.
      b: bias along `axis`, [x.shape[axis]], cast to x's dtype; None adds nothing.
      activation: a name of ACTIVATIONS.
      alpha: slope of lrelu's negative side; None is the activation's default. Other activations ignore it.
      gain: factor on the activated value; None is the activation's default, sqrt(2) for relu, lrelu and swish, else 1.
      clamp: bound on the magnitude of the result, applied after the gain; 0 clamps to 0, None does not clamp.
      axis: axis of x along which the bias runs.

    Returns:
      Array of x's shape and dtype.

    Raises:
      FieldError: on an unknown activation, a bias of the wrong shape or a negative clamp.

    References:
      Karras et al. 2020b, the bias_act operator of the official StyleGAN2-ADA code.
    """
    if activation not in ACTIVATIONS:
        raise FieldError("activation", activation, ", ".join(ACTIVATIONS))
    if clamp is not None and clamp < 0:
        raise FieldError("clamp", clamp, "None or at least 0")
    function, default_gain, default_alpha = ACTIVATIONS[activation]
    if b is not None:
        x = x + _along(b, x, axis).astype(x.dtype)
    y = function(x, default_alpha if alpha is None else alpha)
    gain = default_gain if gain is None else gain
    if gain != 1:
        y = y * gain
    return y if clamp is None else jnp.clip(y, -clamp, clamp)


def _along(b: jax.Array, x: jax.Array, axis: int) -> jax.Array:
    """Reshapes b so that it broadcasts along one axis of x."""
    if not -x.ndim <= axis < x.ndim:
        raise FieldError("axis", axis, f"an axis of x {x.shape}")
    if b.shape != (x.shape[axis],):
        allowed = f"({x.shape[axis]},), the size of axis {axis} of x {x.shape}"
        raise FieldError("b", Words(f"shape {b.shape}"), allowed)
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    return b.reshape(shape)
