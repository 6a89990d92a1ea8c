"""The device mesh, and the layouts of arrays over it."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """Returns the mesh of all devices of all hosts, with one axis "data"."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the layout of the train state: one copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """Returns the layout of a batch: its first axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def constrain_batch(mesh: Mesh) -> Callable[[Any], Any]:
    """Returns a function that constrains every [images, ...] array of a tree to the layout of a batch, inside jit.

    Without the constraint the compiler may compute everything that does not depend on the real batch, such as generated
    images, on every device. The layout of scalars, and of arrays whose first axis the number of devices does not
    divide, is left to the compiler.
    """

    def constrain(x: jax.Array) -> jax.Array:
        if x.ndim == 0 or x.shape[0] % mesh.size:
            return x
        return jax.lax.with_sharding_constraint(x, batched(mesh))

    return lambda tree: jax.tree.map(constrain, tree)
