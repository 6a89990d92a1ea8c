"""Conversion between state_dicts of the StyleGAN2-ADA reference and parameter trees of flaxgan.

Names are split at dots, and axes are transposed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flaxgan.errors import FieldError, Words

BUFFER_LEAVES = ("noise_const", "w_avg")
PARAMETER_LEAVES = ("weight", "bias", "const", "noise_strength")
FILTER_LEAF = "resample_filter"

# (leaf, number of axes) -> order of the axes in the other layout
_UNCHANGED = {("bias", 1): (0,), ("noise_strength", 0): ()}
_TO_CHANNELS_LAST = {("weight", 4): (2, 3, 1, 0), ("weight", 2): (1, 0), ("const", 3): (1, 2, 0), **_UNCHANGED}
_TO_CHANNELS_FIRST = {("weight", 4): (3, 2, 0, 1), ("weight", 2): (1, 0), ("const", 3): (2, 0, 1), **_UNCHANGED}


def to_flax(state: Mapping[str, Any]) -> tuple[dict, dict]:
    """Converts a state_dict (or gradients, or Adam moments, by parameter name) to flaxgan's trees.

    Accepts the state of a whole network or of one of its modules ("weight", "bias" at the top level). The reference
    keeps the weights of frozen layers as buffers; they become parameters.

    Args:
      state: reference name -> array; convolution weights [O, I, H, W], dense weights [O, I], const [C, H, W]. Its
        resample_filters are part of the configuration and are dropped.

    Returns:
      (params, buffers): nested dicts of NumPy arrays of the given dtypes; convolution weights [H, W, I, O], dense
      weights [I, O], const [H, W, C]. The dense layer after the discriminator's flatten takes [H, W, C], channels last.

    Raises:
      FieldError: if the reference has no tensor of that name or shape.
    """
    params: dict = {}
    buffers: dict = {}
    for name, value in state.items():
        _check_leaf(name, (*PARAMETER_LEAVES, *BUFFER_LEAVES, FILTER_LEAF))
        path = tuple(name.split("."))
        array = np.asarray(value)
        if path[-1] in BUFFER_LEAVES:
            _insert(buffers, path, array)
        elif path[-1] in PARAMETER_LEAVES:
            _insert(params, path, _to_channels_last(name, path, array))
    return params, buffers


def from_flax(params: Mapping[str, Any], buffers: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Converts flaxgan's trees to a state_dict without filters; the inverse of `to_flax`.

    Args:
      params: nested dicts of parameters (or gradients, or optimizer moments) in flaxgan's layout.
      buffers: the "buffers" collection, or None.

    Returns:
      Reference name -> NumPy array in the reference's layout.

    Raises:
      FieldError: if the reference has no tensor of that name or number of axes.
    """
    state = {}
    for path, leaf in _leaves(params):
        _check_leaf(".".join(path), PARAMETER_LEAVES)
        state[".".join(path)] = _to_channels_first(".".join(path), path, np.asarray(leaf))
    for path, leaf in _leaves(buffers or {}):
        _check_leaf(".".join(path), BUFFER_LEAVES)
        state[".".join(path)] = np.asarray(leaf)
    return state


def _check_leaf(name: str, allowed: tuple[str, ...]) -> None:
    if name.rpartition(".")[2] not in allowed:
        raise FieldError(name, Words("unknown tensor of StyleGAN2-ADA"), f"names that end in {', '.join(allowed)}")


def _to_channels_last(name: str, path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    if not _is_epilogue_dense(path):
        return _transpose(name, array, _TO_CHANNELS_LAST)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] % array.shape[0]:
        raise FieldError(name, Words(f"shape {list(array.shape)}"), "[C, C * H * W]")
    # [C, C, H*W] -> [H*W, C, C]: only channels and pixels are swapped, so H and W need not be known.
    channels = array.shape[0]
    return _packed(array.reshape(channels, channels, -1).transpose(2, 1, 0)).reshape(-1, channels)


def _to_channels_first(name: str, path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    if not _is_epilogue_dense(path):
        return _transpose(name, array, _TO_CHANNELS_FIRST)
    if array.ndim != 2 or array.shape[1] == 0 or array.shape[0] % array.shape[1]:
        raise FieldError(name, Words(f"shape {list(array.shape)}"), "[H * W * C, C]")
    channels = array.shape[1]
    # [H*W, C, C] -> [C, C, H*W]
    return _packed(array.reshape(-1, channels, channels).transpose(2, 1, 0)).reshape(channels, -1)


def _is_epilogue_dense(path: tuple[str, ...]) -> bool:
    """Returns whether this is the weight of the discriminator's `fc`; the mapping's layers are fc0, fc1, ..."""
    return path[-2:] == ("fc", "weight")


def _transpose(name: str, array: np.ndarray, axes: dict[tuple[str, int], tuple[int, ...]]) -> np.ndarray:
    leaf = name.rpartition(".")[2]
    ndims = [ndim for known, ndim in axes if known == leaf]
    if array.ndim not in ndims:
        raise FieldError(name, Words(f"shape {list(array.shape)}"), f"{' or '.join(map(str, ndims))} axes")
    return _packed(array.transpose(axes[leaf, array.ndim]))


def _packed(array: np.ndarray) -> np.ndarray:
    """Returns a contiguous array; unlike np.ascontiguousarray, it keeps arrays without axes as they are."""
    return np.asarray(array, order="C")


def _insert(tree: dict, path: tuple[str, ...], array: np.ndarray) -> None:
    for depth, word in enumerate(path[:-1], 1):
        tree = tree.setdefault(word, {})
        if not isinstance(tree, dict):
            raise _both(path[:depth])
    if path[-1] in tree:
        raise _both(path)
    tree[path[-1]] = array


def _both(path: tuple[str, ...]) -> FieldError:
    return FieldError(".".join(path), Words("both a module and a tensor"), "one of the two")


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for word, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, word))
        else:
            yield (*path, word), value
