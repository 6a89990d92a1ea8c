"""First and second derivatives against central differences, with few compilations."""

import jax
import jax.numpy as jnp
import numpy as np

STEP = 1e-5


def program(function):
    """jax.jit without the compiler's optimizations: for small shapes they take longer than they save."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function, compiler_options=options)


def check_derivatives(function, *arguments, tolerance: float = 1e-7) -> None:
    """Checks forward mode, reverse mode, reverse over forward and reverse over reverse, in float64.

    Args:
      function: arrays -> array, smooth near the arguments.
      arguments: NumPy arrays, taken as float64.
      tolerance: on each directional derivative, relative to the size of that derivative.
    """
    rng = np.random.default_rng(12345)  # Not a seed of the arguments: along those, some functions do not change.
    arguments = tuple(np.asarray(argument, np.float64) for argument in arguments)
    along, across = (tuple(rng.normal(size=argument.shape) for argument in arguments) for _ in range(2))

    def score(arguments):
        y = function(*arguments)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    def slope(arguments):
        return _dot(jax.grad(score)(arguments), along)

    def derivatives(arguments):
        forward = lambda arguments: jax.jvp(score, (arguments,), (along,))[1]
        second = [_dot(jax.grad(first)(arguments), across) for first in (forward, slope)]
        return forward(arguments), *second

    with jax.enable_x64(True):
        value_and_slope = program(lambda arguments: (score(arguments), slope(arguments)))
        (after, _), (before, _) = (value_and_slope(_moved(arguments, along, step)) for step in (STEP, -STEP))
        (_, after_across), (_, before_across) = (value_and_slope(_moved(arguments, across, s)) for s in (STEP, -STEP))
        first, second = (after - before) / (2 * STEP), (after_across - before_across) / (2 * STEP)
        forward, over_forward, over_reverse = program(derivatives)(arguments)
        reverse = value_and_slope(arguments)[1]
    np.testing.assert_allclose([forward, reverse], [first, first], rtol=tolerance)
    np.testing.assert_allclose([over_forward, over_reverse], [second, second], rtol=tolerance, atol=1e-9)


def _dot(one, other):
    return sum(jnp.vdot(a, b) for a, b in zip(one, other, strict=True))


def _moved(arguments, direction, step):
    return tuple(argument + step * part for argument, part in zip(arguments, direction, strict=True))
