"""The numbers of a reference's state in our variables, and ours in its state: each is moved, none is changed.

A conversion of states is given numbers 0, 1, 2, ... instead of weights, so that what it returns says where each number
goes. The way back follows from the way there and needs no code of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from goldens import run_as_program

State = Mapping[str, np.ndarray]
Tree = dict[str, Any]

U_NAMES = ("u0", "weight_u", "sn_u")
"""The references' names of the vectors of spectral normalization; each layer has at most one of them."""
SIGMA_NAMES = ("sv0", "sn_sigma")
"""Their names of the norm that the last call found."""


class StateMap:
    """Where each number of a reference's state is in our variables.

    Args:
      state: a state of the reference, of which the shapes count.
      convert: from a state to our variables, by collection.
    """

    def __init__(self, state: State, convert: Callable[[Mapping[str, np.ndarray]], Tree]):
        shapes = {name: np.shape(array) for name, array in state.items()}
        self._right_vectors = {f"{layer}.weight_v": layer for layer in _layers_with(U_NAMES, state)}
        for name, layer in self._right_vectors.items():
            weight = state[_weight_name(layer, state)]
            shapes.setdefault(name, (weight.size // weight.shape[0],))
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        self._places = {
            name: np.arange(end - int(np.prod(shape)), end, dtype=np.int32).reshape(shape)
            for (name, shape), end in zip(shapes.items(), ends, strict=True)
        }
        self._size = int(ends[-1])
        found = flatten_dict(convert(self._places), sep="/")
        self._ours = {path: np.asarray(places) for path, places in found.items()}

    def ours(self, state: State) -> Tree:
        """Our variables, by collection. The right singular vectors, which every call replaces, are zeros."""
        flat = np.zeros(self._size, np.result_type(*state.values(), np.float32))
        for name, places in self._places.items():
            if name in state:
                flat[places] = state[name]
        return unflatten_dict({path: flat[places] for path, places in self._ours.items()}, sep="/")

    def theirs(self, variables: Tree) -> dict[str, np.ndarray]:
        """The reference's arrays, as far as our variables hold all of their numbers; others of ours are passed by."""
        flat, is_known = np.zeros(self._size), np.zeros(self._size, bool)
        for path, array in flatten_dict(variables, sep="/").items():
            if path in self._ours:
                flat[self._ours[path]] = array
                is_known[self._ours[path]] = True
        return {name: flat[places] for name, places in self._places.items() if np.all(is_known[places])}

    def sigmas(self, state: State) -> dict[str, np.ndarray]:
        """The norms u^T W v that the references store, of a state that `theirs` returned."""
        found = {}
        for name_of_v, layer in self._right_vectors.items():
            (u,) = (state[f"{layer}.{name}"].ravel() for name in U_NAMES if f"{layer}.{name}" in state)
            weight = state[_weight_name(layer, state)]
            sigma = u @ weight.reshape(weight.shape[0], -1) @ state[name_of_v].ravel()
            found |= {f"{layer}.{name}": np.reshape(sigma, -1) for name in SIGMA_NAMES}
        return found


def of_parts(parts: Sequence[Any], state: State) -> StateMap:
    """The map of layers as `torch_networks.apply` takes them."""

    def convert(places: Mapping[str, Any]) -> Tree:
        collect = lambda places: {path: x for part in parts for path, x in part.variables(places, True).items()}
        return unflatten_dict(run_as_program(collect, dict(places)), sep="/")

    return StateMap(state, convert)


def _layers_with(names: Sequence[str], state: State) -> list[str]:
    return [layer for layer, _, name in (key.rpartition(".") for key in state) if name in names]


def _weight_name(layer: str, state: State) -> str:
    return f"{layer}.weight_orig" if f"{layer}.weight_orig" in state else f"{layer}.weight"
