"""Variables of our modules from the state_dicts that the goldens store."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict
from goldens import Case

from flaxgan.convert.state_dict import to_flax


def variables(case: Case, module: nn.Module, *inputs: Any, prefix: str = "state/") -> dict[str, Any]:
    """The variables of a module that is called with `inputs`; the state must hold them all, and nothing else.

    Args:
      case: the case, whose keys that begin with the prefix are a state_dict.
      module: our module.
      *inputs: its inputs; only their shapes count.
      prefix: of the state's keys.

    Raises:
      AssertionError: if names or shapes differ from those that the module would create.
    """
    params, buffers = to_flax(case.inputs(prefix))
    found = {"params": params, **({"buffers": buffers} if buffers else {})}
    expected = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    if _shapes(found) != _shapes(expected):
        raise AssertionError(f"{case.name}: the state holds {_shapes(found)}, the module {_shapes(expected)}")
    return jax.tree.map(jnp.asarray, found)


def options(case: Case, *but: str) -> dict[str, Any]:
    """All options of a case but some: the constructor arguments of the reference's module."""
    return {name: case.option(name) for name in case.options if name not in but}


def _shapes(tree: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: leaf.shape for name, leaf in flatten_dict(tree, sep="/").items()}
