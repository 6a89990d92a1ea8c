"""State of a regularizer's own: values that it keeps from one step to the next."""

from collections.abc import Callable, Mapping
from typing import TypeVar

F = TypeVar("F", bound=Callable)

_ATTRIBUTE = "initial_state"


def stateful(**initial: float) -> Callable[[F], F]:
    """Declares the state of a regularizer.

    The decorated function takes one positional argument of each declared name, which receives the present value, and
    returns a dict of the new values beside its penalty:

        @stateful(mean=0.0)
        def keep_level(real_logits, mean, *, weight=1.0, decay=0.99):
            mean = decay * mean + (1 - decay) * jax.lax.stop_gradient(jnp.mean(real_logits))
            return weight * jnp.square(real_logits - mean), {"mean": mean}

    A trainer keeps the state beside the parameters and saves it with them. Names are unique in a run, since values are
    logged under them.

    Args:
      **initial: the value of each name before training, a float32 scalar.

    Returns:
      A decorator that leaves the function as it is.
    """

    def declare(function: F) -> F:
        setattr(function, _ATTRIBUTE, dict(initial))
        return function

    return declare


def initial_state(function: Callable) -> Mapping[str, float]:
    """Returns the declared initial values of a function by name; empty for a function without state."""
    return getattr(function, _ATTRIBUTE, {})
