"""A guard that keeps non-finite numbers out of the train state.

Losses are read only now and then, so a non-finite number is noticed many steps later, when it has spread to everything.
A guarded program leaves the state as it was before the first such number, and so do all programs after it: the state
that led to it is still there when it is noticed, without a copy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def guarded(program: Callable[..., tuple[Any, dict]]) -> Callable[..., tuple[Any, jax.Array, dict]]:
    """Wraps a program (state, *inputs) -> (state, scalars) so that non-finite results never become the state.

    Args:
      program: the program.

    Returns:
      A program (state, all_finite, *inputs) -> (state, all_finite, scalars). `all_finite` is bool []: whether every
      number was finite so far. The returned state is the new one if `all_finite` still holds for everything that the
      program changed and for its scalars, otherwise the given one.
    """

    def run(state: Any, all_finite: jax.Array, *inputs: Any) -> tuple[Any, jax.Array, dict]:
        new, scalars = program(state, *inputs)
        all_finite = all_finite & is_finite((_changed(state, new), scalars))
        return keep_unless(all_finite, state, new), all_finite, scalars

    run.__name__ = program.__name__
    return run


def keep_unless(all_finite: jax.Array, old: Any, new: Any) -> Any:
    """Returns the new tree if everything is finite, else the old one. Arrays that are the same in both cost nothing."""
    return jax.tree.map(lambda new, old: new if new is old else jnp.where(all_finite, new, old), new, old)


def is_finite(tree: Any) -> jax.Array:
    """Returns whether every floating point number of a tree is finite, bool []."""
    floating = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in floating]))


def _changed(old: Any, new: Any) -> list[jax.Array]:
    """Returns the arrays that a program did not just pass on."""
    return [x for x, was in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True) if x is not was]
