"""What a program makes becomes the train state only while every number in it is finite.

Losses are looked at seldom, so a number that is not finite is noticed many steps later, when everything has followed
it. A guarded program leaves the state as it was before the first such number, and so do all programs after it: the
state that led to it is still there when it is noticed, without a copy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def guarded(program: Callable[..., tuple[Any, dict]]) -> Callable[..., tuple[Any, jax.Array, dict]]:
    """A program (state, fine, *inputs) -> (state, fine, scalars) of a program (state, *inputs) -> (state, scalars).

    `fine` is bool [], whether everything was finite up to here. The state that is given back is the new one if that
    still holds for all that has changed in it and for the scalars, and else the one that was given.
    """

    def run(state: Any, fine: jax.Array, *inputs: Any) -> tuple[Any, jax.Array, dict]:
        new, scalars = program(state, *inputs)
        fine = fine & is_finite((_changed(state, new), scalars))
        return keep_unless(fine, state, new), fine, scalars

    run.__name__ = program.__name__
    return run


def keep_unless(fine: jax.Array, old: Any, new: Any) -> Any:
    """The new tree if all is fine, else the old one. Arrays that are the same in both cost nothing."""
    return jax.tree.map(lambda new, old: new if new is old else jnp.where(fine, new, old), new, old)


def is_finite(tree: Any) -> jax.Array:
    """Whether every floating point number of a tree is finite, bool []."""
    floating = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in floating]))


def _changed(old: Any, new: Any) -> list[jax.Array]:
    """The arrays that a program did not just pass on."""
    return [x for x, was in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True) if x is not was]
