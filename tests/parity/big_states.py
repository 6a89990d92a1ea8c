"""Layers of BigGAN-PyTorch's and StudioGAN's state_dicts, as `torch_networks.apply` takes them."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp
from torch_networks import State, conv, dense

from flaxgan.ops.spectral_norm import spectral_sigma


@dataclasses.dataclass(frozen=True)
class SpectralLayer:
    """A layer whose weight may be spectrally normalized, with the vectors u0 and sv0, or weight_u and weight_v.

    Attributes:
      theirs: its name in the state_dict.
      ours: its path in our variables.
      to_kernel: our kernel from their weight.
      map_channels: of a dense layer, channels C of the map [C, P] that its output is; ours is [P, C].
      kernel: what our kernel is called.
    """

    theirs: str
    ours: str
    to_kernel: Callable[[jax.Array], jax.Array] = conv
    map_channels: int = 1
    kernel: str = "kernel"

    def variables(self, state: State, train: bool) -> dict[str, jax.Array]:
        """By path, the collection first."""
        del train
        found = {f"params/{self.ours}/{self.kernel}": self._kernel(state)}
        if f"{self.theirs}.bias" in state:
            found[f"params/{self.ours}/bias"] = self._pixels_first(state[f"{self.theirs}.bias"])
        if (name := self._name_of_u(state)) is not None:
            found[f"spectral/{self.ours}/u"] = self._pixels_first(state[name].ravel())
            found[f"spectral/{self.ours}/v"] = self._v(state)
        return found

    def changes(self, state: State, new: State) -> dict[str, jax.Array]:
        """What training mode made of the state."""
        name = self._name_of_u(state)
        if name is None:
            return {}
        u, v = (new[f"spectral/{self.ours}/{vector}"] for vector in "uv")
        changed = {name: jnp.swapaxes(u.reshape(-1, self.map_channels), 0, 1).ravel()}
        if f"{self.theirs}.sv0" in state:
            kernel = self._kernel(state)
            matrix = kernel if self.kernel == "embedding" else kernel.reshape(-1, kernel.shape[-1]).T
            changed[f"{self.theirs}.sv0"] = spectral_sigma(matrix, u, v)
        return changed

    def _name_of_u(self, state: State) -> str | None:
        return next((f"{self.theirs}.{u}" for u in ("u0", "weight_u") if f"{self.theirs}.{u}" in state), None)

    def _v(self, state: State) -> jax.Array:
        weight = self._weight(state)
        if f"{self.theirs}.weight_v" not in state:  # Then every call makes it of u.
            return jnp.zeros(weight.size // weight.shape[0], weight.dtype)
        return self.to_kernel(state[f"{self.theirs}.weight_v"].reshape(1, *weight.shape[1:])).ravel()

    def _weight(self, state: State) -> jax.Array:
        return state.get(f"{self.theirs}.weight_orig", state.get(f"{self.theirs}.weight"))

    def _kernel(self, state: State) -> jax.Array:
        return self.to_kernel(self._pixels_first(self._weight(state)))

    def _pixels_first(self, array: jax.Array) -> jax.Array:
        """[C P, ...] as [P C, ...]."""
        return jnp.swapaxes(array.reshape(self.map_channels, -1, *array.shape[1:]), 0, 1).reshape(array.shape)


@dataclasses.dataclass(frozen=True)
class Norm:
    """Batch normalization, plain, or with linear layers (or tables of classes) `gain` and `bias`.

    Attributes:
      theirs: its name in the state_dict.
      ours: its path in our variables.
      by_table: whether gain and bias are embeddings [K, C].
    """

    theirs: str
    ours: str
    by_table: bool = False

    def variables(self, state: State, train: bool) -> dict[str, jax.Array]:
        """By path, the collection first."""
        mean, var = self._running(state)
        found = {f"batch_stats/{self.ours}/mean": state[mean], f"batch_stats/{self.ours}/var": state[var]}
        for layer in self._layers(state):
            found |= layer.variables(state, train)
        if not self._layers(state):
            scale = state.get(f"{self.theirs}.gain", state.get(f"{self.theirs}.weight"))
            found |= {f"params/{self.ours}/scale": scale, f"params/{self.ours}/bias": state[f"{self.theirs}.bias"]}
        return found

    def changes(self, state: State, new: State) -> dict[str, jax.Array]:
        """What training mode made of the state."""
        mean, var = self._running(state)
        changed = {mean: new[f"batch_stats/{self.ours}/mean"], var: new[f"batch_stats/{self.ours}/var"]}
        if mean.endswith("running_mean"):
            count = mean.replace("running_mean", "num_batches_tracked")
            changed[count] = state[count] + 1
        for layer in self._layers(state):
            changed |= layer.changes(state, new)
        return changed

    def _running(self, state: State) -> tuple[str, str]:
        for prefix in ("stored_", "running_", "bn.running_"):
            if f"{self.theirs}.{prefix}mean" in state:
                return f"{self.theirs}.{prefix}mean", f"{self.theirs}.{prefix}var"
        raise AssertionError(f"{self.theirs}: no running statistics")

    def _layers(self, state: State) -> list[SpectralLayer]:
        if not any(name.startswith(f"{self.theirs}.gain.") for name in state):
            return []
        to_kernel = (lambda table: table) if self.by_table else dense
        names = {"gain": "gain", "bias": "offset"}
        return [
            SpectralLayer(f"{self.theirs}.{name}", f"{self.ours}/{ours}", to_kernel) for name, ours in names.items()
        ]


def convolutions(
    state: Mapping[str, jax.Array], theirs: str, ours: str, names: Mapping[str, str]
) -> list[SpectralLayer]:
    """Those convolutions of a block, of the names {theirs: ours}, that the state has."""
    has = lambda name: any(key.startswith(f"{theirs}.{name}.") for key in state)
    return [SpectralLayer(f"{theirs}.{name}", f"{ours}/{path}") for name, path in names.items() if has(name)]


def blocks(state: Iterable[str]) -> list[str]:
    """Names of the blocks and attentions blocks.{i}.{j}, in their order."""
    found = {(int(match[1]), int(match[2])) for name in state if (match := re.match(r"blocks\.(\d+)\.(\d+)\.", name))}
    return [f"blocks.{i}.{j}" for i, j in sorted(found)]


def embedding(theirs: str, ours: str) -> SpectralLayer:
    """A table of classes."""
    return SpectralLayer(theirs, ours, lambda table: table, kernel="embedding")


class Gamma:
    """The weight of an attention.

    Args:
      theirs: its name in the state_dict.
      ours: the attention's path in our variables.
    """

    def __init__(self, theirs: str, ours: str):
        self.theirs, self.ours = theirs, ours

    def variables(self, state: State, train: bool) -> dict[str, jax.Array]:
        """By path, the collection first."""
        del train
        return {f"params/{self.ours}/gamma": state[self.theirs].reshape(())}

    def changes(self, state: State, new: State) -> dict[str, jax.Array]:
        """Nothing."""
        del state, new
        return {}
