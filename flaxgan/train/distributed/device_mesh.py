"""The device mesh, and how arrays are laid out over it."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """All devices of all hosts in one axis, "data"."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The train state's layout: a whole copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """A batch's layout: its first axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def constrain_batch(mesh: Mesh) -> Callable[[Any], Any]:
    """A function that lays every [images, ...] array of a tree over the devices, inside jit.

    Without it the compiler may compute whatever does not depend on the real batch, such as generated images, on every
    device. Arrays whose first axis the devices do not divide, and keys, are left to the compiler.
    """

    def constrain(x: jax.Array) -> jax.Array:
        if x.ndim == 0 or x.shape[0] % mesh.size:
            return x
        return jax.lax.with_sharding_constraint(x, batched(mesh))

    return lambda tree: jax.tree.map(constrain, tree)
