"""Conversion of StyleGAN2-ADA network pickles (PyTorch) to arguments and variables of flaxgan.networks.stylegan2."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from flaxgan.convert import state_dict
from flaxgan.convert.augment_pipe import augment_options, augment_probability
from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.pickle_machine import PickleRefused
from flaxgan.convert.stylegan2_arguments import network_arguments
from flaxgan.convert.unpickle import PickleRecords, read_records
from flaxgan.errors import FieldError
from flaxgan.ops.upfirdn import setup_filter

# Modules that use their resampling filter; the others hold the default filter in every network.
_RESAMPLING = {"G": ("conv0", "skip"), "D": ("conv1", "skip")}


@dataclasses.dataclass(frozen=True)
class NetworkVariables:
    """The variables of one network.

    Attributes:
      params: nested dicts of float32 arrays in flaxgan's layout.
      buffers: nested dicts of float32 arrays, the collection "buffers"; empty for a discriminator.
    """

    params: dict
    buffers: dict


@dataclasses.dataclass(frozen=True)
class ImportedNetworks:
    """The content of a network pickle, converted to flaxgan.

    Attributes:
      network: keyword arguments of `flaxgan.networks.stylegan2.build` that the pickle determines.
      g: generator.
      d: discriminator.
      g_ema: moving average of the generator.
      d_frozen_layers: number of discriminator layers, counted from the image, that were frozen in training.
      augment: keyword arguments of `flaxgan.augment.spec.AugmentSpec` for the augmentation in front of D, or None
        if there is none.
      augment_p: probability of the augmentation when the pickle was written; 0 if there is none.
      training_set_kwargs: constructor arguments of the reference's dataset, or None.
    """

    network: dict[str, Any]
    g: NetworkVariables
    d: NetworkVariables
    g_ema: NetworkVariables
    d_frozen_layers: int
    augment: dict[str, Any] | None
    augment_p: float
    training_set_kwargs: dict[str, Any] | None


def read_network_pickle(path: str | pathlib.Path) -> ImportedNetworks:
    """Reads a network pickle of the StyleGAN2-ADA PyTorch reference without executing anything in it.

    Args:
      path: the file.

    Returns:
      The converted networks. Blocks that the reference computes in half precision are float16 in `network` too.

    Raises:
      PickleRefused: naming the file and the reason, if it is another kind of file, or holds a network with an option
        that `flaxgan.networks.stylegan2` does not offer.
      OSError: if the file does not exist or cannot be read.
    """
    records = read_records(path)
    try:
        return convert(records)
    except PickleRefused as refusal:
        raise PickleRefused(f"{path}: {refusal}") from None


def convert(records: PickleRecords) -> ImportedNetworks:
    """Converts the records of a network pickle; `read_network_pickle` reads and converts.

    Raises:
      PickleRefused: if a network has an option that `flaxgan.networks.stylegan2` does not offer.
    """
    g, d, g_ema = (records.networks[name] for name in ("G", "D", "G_ema"))
    if (g.init_args, g.init_kwargs) != (g_ema.init_args, g_ema.init_kwargs):
        raise PickleRefused("G_ema: its constructor arguments differ from those of G")
    network, d_frozen_layers = network_arguments(g, d)
    g_taps = network["resample_filter"]
    d_taps = network.get("d_resample_filter", g_taps)
    pipe = records.augment_pipe
    return ImportedNetworks(
        network=network,
        g=_variables(g, "G", g_taps),
        d=_variables(d, "D", d_taps),
        g_ema=_variables(g_ema, "G_ema", g_taps),
        d_frozen_layers=d_frozen_layers,
        augment=None if pipe is None else augment_options(pipe),
        augment_p=0.0 if pipe is None else augment_probability(pipe),
        training_set_kwargs=records.training_set_kwargs,
    )


def check_shapes(found: Mapping[str, Any], expected: Mapping[str, Any], name: str) -> None:
    """Checks the names and shapes of a network's variables.

    Args:
      found: nested dicts of arrays.
      expected: nested dicts of arrays or shapes of the network's initialization (jax.eval_shape).
      name: name of the network in messages.

    Raises:
      PickleRefused: naming the first variable that is missing, has the wrong shape, or is not part of the network.
    """
    for key in sorted(set(found) | set(expected)):
        path = f"{name}.{key}"
        if key not in found or key not in expected:
            raise PickleRefused(f"{path}: {'missing' if key not in found else 'not part of the network'}")
        if isinstance(found[key], Mapping) and isinstance(expected[key], Mapping):
            check_shapes(found[key], expected[key], path)
        elif isinstance(found[key], Mapping) or isinstance(expected[key], Mapping):
            raise PickleRefused(f"{path}: a tensor in place of a module, or a module in place of a tensor")
        elif tuple(found[key].shape) != tuple(expected[key].shape):
            raise PickleRefused(f"{path}: found shape {found[key].shape}, allowed: {expected[key].shape}")


def _variables(record: ModuleRecord, name: str, taps: tuple[float, ...]) -> NetworkVariables:
    state = record.state_dict()
    for key, array in state.items():
        if array.dtype != np.float32:
            raise PickleRefused(f"{name}.{key}: found {array.dtype}, allowed: float32")
    _check_filters(state, name, taps)
    try:
        return NetworkVariables(*state_dict.to_flax(state))
    except FieldError as error:
        raise PickleRefused(f"{name}.{error}") from None


def _check_filters(state: dict[str, np.ndarray], name: str, taps: tuple[float, ...]) -> None:
    expected = setup_filter(taps)
    for key, array in state.items():
        *_, owner, leaf = ("", *key.split("."))
        is_used = owner in _RESAMPLING[name[0]] or owner[1:].isdigit()
        if leaf != state_dict.FILTER_LEAF or not is_used:
            continue
        if array.shape != expected.shape or not np.allclose(array, expected, rtol=0, atol=1e-6):
            raise PickleRefused(f"{name}.{key}: not the normalized filter of resample_filter {taps}")
