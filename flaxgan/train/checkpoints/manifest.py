"""The manifest of a checkpoint: checksums of its arrays and the measured values of metrics."""

import json
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from flaxgan.train.checkpoints import integrity
from flaxgan.train.checkpoints.integrity import DamagedError

ITEM = "manifest"
"""Name of the manifest among the items of a checkpoint."""

FILE = "metadata"
"""Name of its file, which is that of all JSON items of Orbax."""


def handlers() -> ocp.handlers.CheckpointHandlerRegistry:
    """Returns the handlers of a checkpoint's items: `ManifestHandler` for the manifest, Orbax's for all others."""
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(ITEM, ocp.args.JsonSave, ManifestHandler())
    return registry


def save_args(arrays: dict[str, Any], measured: Mapping[str, float]) -> ocp.args.JsonSave:
    """Returns the arguments with which `ManifestHandler` saves.

    Blocks until all arrays are on the host. Orbax saves these very copies, so that no array is transferred twice, and
    nothing reads the arrays on the devices once `save` has returned.

    Args:
      arrays: nested dict of all arrays of the checkpoint.
      measured: values of metrics by name.
    """
    return ocp.args.JsonSave({"checksums": _host_copies(arrays), "measured": dict(measured)})


def read(folder: epath.Path) -> dict[str, dict[str, Any]]:
    """Reads the manifest of a checkpoint: "checksums" and "measured".

    Args:
      folder: the checkpoint. Those of early versions have no manifest; both dicts are empty then.

    Raises:
      DamagedError: if the manifest is damaged.
    """
    if not (folder / ITEM).exists():
        return {"checksums": {}, "measured": {}}
    file = folder / ITEM / FILE
    with integrity.naming_damage(folder):
        found = json.loads(file.read_text())
    sections = [found.get(name) for name in ("checksums", "measured")] if isinstance(found, dict) else [None]
    if not all(isinstance(section, dict) for section in sections):
        raise DamagedError(f"{file}: damaged: it holds no checksums of the arrays")
    return found


def read_measured(folder: epath.Path) -> dict[str, float]:
    """Reads the measured values of a checkpoint. A damaged one has none, so that it is never the best."""
    try:
        return {name: float(value) for name, value in read(folder)["measured"].items()}
    except (ValueError, TypeError):
        return {}


class ManifestHandler(ocp.JsonCheckpointHandler):
    """Computes the checksums and writes the manifest on a background thread of the first process.

    Orbax completes a checkpoint only after all of its items are written. A complete checkpoint therefore has a complete
    manifest.
    """

    async def async_save(
        self, directory: epath.Path, item: None = None, args: ocp.args.JsonSave | None = None
    ) -> list[ocp.future.Future]:
        """Starts to write and returns the future, see `ocp.AsyncCheckpointHandler`."""
        if args is None:
            raise TypeError("ManifestHandler.async_save needs args")

        async def write() -> None:
            if jax.process_index() == 0:
                content = {**args.item, "checksums": integrity.checksums(args.item["checksums"])}
                (directory / FILE).write_text(json.dumps(content))

        return [ocp.future.CommitFutureAwaitingContractedSignals(_Deferred(write), name="flaxgan-manifest")]

    @classmethod
    def typestr(cls) -> str:
        """Returns the name of the handler that can read the file, which Orbax notes in the checkpoint."""
        return ocp.JsonCheckpointHandler.typestr()


class _Deferred(Coroutine):
    """A coroutine that is made when it first runs.

    Orbax drops the futures of all items of a checkpoint when one of them fails. Python warns of coroutines that never
    ran, at any time later.
    """

    def __init__(self, make: Callable[[], Coroutine]) -> None:
        self._make = make
        self._running: Coroutine | None = None

    def send(self, value: Any) -> Any:
        """Runs to the next suspension, see `collections.abc.Coroutine`."""
        if self._running is None:
            self._running = self._make()
        return self._running.send(value)

    def throw(self, *error: Any) -> Any:
        """Raises an error where the coroutine is suspended, see `collections.abc.Coroutine`."""
        if self._running is None:
            self._running = self._make()
        return self._running.throw(*error)

    def close(self) -> None:
        """Ends the coroutine, see `collections.abc.Coroutine`."""
        if self._running is not None:
            self._running.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._make().__await__()


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
