"""Writing the manifest of a checkpoint: checksums of its arrays and the metrics measured of it."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from flaxgan.train.checkpoints import integrity

ITEM = "manifest"
"""Name of the manifest among the items of a checkpoint."""


def handlers() -> ocp.handlers.CheckpointHandlerRegistry:
    """Returns the handlers of a checkpoint's items: one of our own for the manifest, Orbax's for all others."""
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(ITEM, ocp.args.JsonSave, ManifestHandler())
    return registry


def save_args(arrays: dict[str, Any], measured: Mapping[str, float]) -> ocp.args.JsonSave:
    """Returns what `ManifestHandler` writes.

    Blocks until all arrays are on the host. Orbax saves these very copies, so that no array is transferred twice, and
    nothing reads the arrays on the devices once `save` has returned.

    Args:
      arrays: nested dict of all arrays of the checkpoint.
      measured: values of metrics by name.
    """
    return ocp.args.JsonSave({"checksums": _host_copies(arrays), "measured": dict(measured)})


class ManifestHandler(ocp.JsonCheckpointHandler):
    """Computes the checksums and writes the manifest on a background thread; the first process does both.

    Orbax completes a checkpoint only after all of its items are written, so a complete one has a complete manifest.
    """

    async def async_save(
        self, directory: epath.Path, item: None = None, args: ocp.args.JsonSave | None = None
    ) -> list[ocp.future.Future]:
        """Returns the future of the manifest, see `ocp.AsyncCheckpointHandler`."""
        if args is None:
            raise TypeError("ManifestHandler.async_save needs args")

        async def write() -> None:
            if jax.process_index() == 0:
                content = {**args.item, "checksums": integrity.checksums(args.item["checksums"])}
                (directory / "metadata").write_text(json.dumps(content))

        return [ocp.future.CommitFutureAwaitingContractedSignals(write(), name="flaxgan-manifest")]

    @classmethod
    def typestr(cls) -> str:
        """Returns the name of the handler that can read the file, which Orbax notes in the checkpoint."""
        return ocp.JsonCheckpointHandler.typestr()


def _host_copies(arrays: dict[str, Any]) -> dict[str, Any]:
    """Returns the arrays on the host; all transfers run at the same time."""
    parts = jax.tree.map(_local_part, arrays)
    for part in jax.tree.leaves(parts):
        if isinstance(part, jax.Array):
            part.copy_to_host_async()
    # A NumPy array belongs to the caller, who may change it. JAX keeps the buffer under a view while the view lives.
    return jax.tree.map(lambda part: np.asarray(part) if isinstance(part, jax.Array) else np.array(part), parts)


def _local_part(array: Any) -> Any:
    """Returns the copy of a replicated array on the first local device, whose transfer JAX remembers for Orbax."""
    if isinstance(array, jax.Array) and array.is_fully_replicated:
        return array.addressable_shards[0].data
    return array
