"""Checkpoints of earlier versions: which of a run's arrays they hold, and under which names.

A checkpoint may lack a regularizer's own state, because it was saved before the regularizer had it: the state then
begins at its initial value. Until version 0.1.0 the path length mean was saved as `pl_mean`, in every run.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

Arrays = dict[str, Any]
"""A nested dict of arrays, or of whatever stands for them."""

PL_MEAN = "regularizers/g/path_length/pl_mean"
OLD_PL_MEAN = "pl_mean"
OWN_STATE = "regularizers/"
"""Paths of the regularizers' own state begin so."""


def saved_part(arrays: Arrays) -> Arrays:
    """Returns the arrays of a train state without networks and regularizers that have no state of their own."""
    flat = {name: one for name, one in _flat(arrays).items() if _is_array(one) or not name.startswith(OWN_STATE)}
    return traverse_util.unflatten_dict(flat, sep="/")


def saved_layout(wanted: Arrays, saved: Arrays) -> Arrays:
    """Returns the arrays to read from a checkpoint.

    Args:
      wanted: the arrays of the run that continues, with shape, dtype and sharding.
      saved: those of the checkpoint, with shape and dtype.

    Returns:
      The wanted arrays without own state that the checkpoint lacks, under the names in the checkpoint.
    """
    flat, saved = _flat(saved_part(wanted)), _flat(saved)
    layout = {name: one for name, one in flat.items() if name in saved or not name.startswith(OWN_STATE)}
    if OLD_PL_MEAN in saved:
        old = saved[OLD_PL_MEAN]
        layout[OLD_PL_MEAN] = jax.ShapeDtypeStruct(old.shape, old.dtype, sharding=flat["step"].sharding)
    return traverse_util.unflatten_dict(layout, sep="/")


def completed(arrays: Arrays, wanted: Arrays, initial: Mapping[str, Any]) -> tuple[Arrays, list[str]]:
    """Returns all wanted arrays, and the paths of those that were not saved.

    Args:
      arrays: those that were read, see `saved_layout`.
      wanted: the arrays of the run that continues, with shape, dtype and sharding.
      initial: initial values of the regularizers' own state, network -> regularizer -> name -> value.
    """
    found, flat = _flat(arrays), _flat(wanted)
    pl_mean = found.pop(OLD_PL_MEAN, None)
    if pl_mean is not None and PL_MEAN in flat:
        found[PL_MEAN] = pl_mean
    absent = [name for name, one in flat.items() if name not in found and _is_array(one)]
    values = _flat({OWN_STATE.rstrip("/"): initial})
    for name in absent:
        value = jnp.full(flat[name].shape, values[name], flat[name].dtype)
        found[name] = jax.device_put(value, flat[name].sharding)
    return traverse_util.unflatten_dict({name: found.get(name, one) for name, one in flat.items()}, sep="/"), absent


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep="/", keep_empty_nodes=True)


def _is_array(node: Any) -> bool:
    return node is not traverse_util.empty_node
