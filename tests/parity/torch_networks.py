"""Variables of a network of ours from a PyTorch state_dict, layer by layer; and back, what a call changed of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from flaxgan.ops.spectral_norm import power_iteration, spectral_sigma

State = Mapping[str, jax.Array]


def conv(weight: jax.Array) -> jax.Array:
    """[O, I, K, K] as [K, K, I, O]."""
    return jnp.transpose(weight, (2, 3, 1, 0))


def conv_transpose(weight: jax.Array) -> jax.Array:
    """[I, O, K, K] as [K, K, I, O]."""
    return jnp.transpose(weight, (2, 3, 0, 1))


def dense(weight: jax.Array) -> jax.Array:
    """[O, I] as [I, O]."""
    return weight.T


def conv_of_all(weight: jax.Array) -> jax.Array:
    """A convolution [O, I, H, W] of a whole map of H x W pixels as the dense layer [H W I, O] of the flattened map."""
    return conv(weight).reshape(-1, weight.shape[0])


def conv_transpose_of_one(weight: jax.Array) -> jax.Array:
    """A transposed convolution [I, O, H, W] of one pixel as the dense layer [I, H W O] that gives the flattened map."""
    return jnp.transpose(weight, (0, 2, 3, 1)).reshape(weight.shape[0], -1)


def to_map(channels: int) -> Callable[[jax.Array], jax.Array]:
    """For a dense layer [C P, I] to a map of C channels and P pixels: as [I, P C]; and for its bias [C P]: as [P C]."""

    def reordered(array: jax.Array) -> jax.Array:
        pixels = jnp.swapaxes(array.reshape(channels, -1, *array.shape[1:]), 0, 1)  # [P, C, ...]
        return pixels.reshape(array.shape).T

    return reordered


class Layer(NamedTuple):
    """A layer with a kernel and, where the state has it, a bias.

    Attributes:
      theirs: its name in the state_dict.
      ours: its path in our variables.
      to_kernel: our kernel from their weight.
      to_bias: our bias from theirs.
      kernel: what our kernel is called.
    """

    theirs: str
    ours: str
    to_kernel: Callable[[jax.Array], jax.Array]
    to_bias: Callable[[jax.Array], jax.Array] = lambda bias: bias
    kernel: str = "kernel"

    def weight(self, state: State) -> jax.Array:
        """Their weight, as stored: not yet normalized."""
        return state.get(f"{self.theirs}.weight_orig", state.get(f"{self.theirs}.weight"))

    def variables(self, state: State, train: bool) -> dict[str, jax.Array]:
        """By path, the collection first."""
        weight = self.weight(state)
        found = {f"params/{self.ours}/{self.kernel}": self.to_kernel(weight)}
        if f"{self.theirs}.bias" in state:
            found[f"params/{self.ours}/bias"] = self.to_bias(state[f"{self.theirs}.bias"])
        u = next((state[name].ravel() for name in self._names_of_u if name in state), None)
        if f"{self.theirs}.weight_v" in state:
            v = state[f"{self.theirs}.weight_v"].reshape(1, *weight.shape[1:])
            vectors = u, self.to_kernel(v).ravel()
        elif u is not None:
            # Of mimicry's own class, which keeps u alone: an iteration makes v, in evaluation mode a new u as well.
            vectors = power_iteration(weight.reshape(weight.shape[0], -1), u)
            vectors = (u, vectors[1]) if train else vectors
        else:
            return found
        return found | {f"spectral/{self.ours}/{name}": vector for name, vector in zip("uv", vectors, strict=True)}

    @property
    def _names_of_u(self) -> tuple[str, str]:
        return f"{self.theirs}.weight_u", f"{self.theirs}.sn_u"

    def changes(self, state: State, new: State) -> dict[str, jax.Array]:
        """What training mode made of the state."""
        if f"spectral/{self.ours}/u" not in new:
            return {}
        u, v = (new[f"spectral/{self.ours}/{name}"] for name in "uv")
        if f"{self.theirs}.weight_u" in state:
            return {f"{self.theirs}.weight_u": u}
        weight = self.weight(state)
        sigma = spectral_sigma(weight.reshape(weight.shape[0], -1), u, v)
        return {f"{self.theirs}.sn_u": u, f"{self.theirs}.sn_sigma": sigma}


class BatchNorm(NamedTuple):
    """Batch normalization, plain, or with the table of classes `embed` beside `bn`.

    Attributes:
      theirs: its name in the state_dict.
      ours: its path in our variables.
    """

    theirs: str
    ours: str

    def variables(self, state: State, train: bool) -> dict[str, jax.Array]:
        """By path, the collection first."""
        del train
        mean, var, _ = (state[name] for name in self._running(state))
        found = {f"batch_stats/{self.ours}/mean": mean, f"batch_stats/{self.ours}/var": var}
        if f"{self.theirs}.embed.weight" in state:
            return found | {f"params/{self.ours}/embed/embedding": state[f"{self.theirs}.embed.weight"]}
        names = {"scale": "weight", "bias": "bias"}
        return found | {f"params/{self.ours}/{ours}": state[f"{self.theirs}.{name}"] for ours, name in names.items()}

    def changes(self, state: State, new: State) -> dict[str, jax.Array]:
        """What training mode made of the state."""
        mean, var, count = self._running(state)
        stats = f"batch_stats/{self.ours}"
        return {mean: new[f"{stats}/mean"], var: new[f"{stats}/var"], count: state[count] + 1}

    def _running(self, state: State) -> tuple[str, str, str]:
        owner = f"{self.theirs}.bn" if f"{self.theirs}.bn.running_mean" in state else self.theirs
        return f"{owner}.running_mean", f"{owner}.running_var", f"{owner}.num_batches_tracked"


def apply(network: nn.Module, parts: Sequence[Layer | BatchNorm], state: State, train: bool, *inputs: jax.Array):
    """Calls a network of ours with the variables of a state.

    Args:
      network: ours.
      parts: all its layers with variables.
      state: the state_dict.
      train: the mode.
      *inputs: in our layout.

    Returns:
      (the network's result, what the call changed of the state).

    Raises:
      AssertionError: if names or shapes of the variables differ from those that the network would create.
    """
    flat = {path: array for part in parts for path, array in part.variables(state, train).items()}
    expected = flatten_dict(jax.eval_shape(network.init, jax.random.key(0), *inputs), sep="/")
    shapes = lambda tree: {path: leaf.shape for path, leaf in tree.items()}
    if shapes(flat) != shapes(expected):
        raise AssertionError(f"the state holds {shapes(flat)}, the network {shapes(expected)}")
    variables = unflatten_dict(flat, sep="/")
    mutable = [name for name in variables if name != "params"] if train else []
    result, new = network.apply(variables, *inputs, train=train, mutable=mutable)
    new = flatten_dict(new, sep="/")
    changed = {name: array for part in parts for name, array in part.changes(state, new).items()} if train else {}
    return result, changed
