"""Tiny network pickles of any option, written with random weights: what the reference would store."""

import functools
import pathlib
from typing import Any

import jax
import numpy as np
import pickle_writer as writer

from flaxgan.convert.state_dict import from_flax
from flaxgan.networks import stylegan2

SIZES = {"c_dim": 0, "img_resolution": 8, "img_channels": 3}
G_KWARGS = {
    "z_dim": 5,
    "w_dim": 6,
    **SIZES,
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 32, "channel_max": 4},
}
D_KWARGS = {**SIZES, "channel_base": 32, "channel_max": 4, "epilogue_kwargs": {"mbstd_group_size": 2}}
NETWORK = {
    "image_shape": (8, 8, 3),
    "num_classes": 0,
    "z_dim": 5,
    "w_dim": 6,
    "mapping_layers": 2,
    "channel_base": 32,
    "channel_max": 4,
    "mbstd_group_size": 2,
}
"""What `build` takes for G_KWARGS and D_KWARGS."""


def joined(kwargs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Constructor arguments with changes; nested dicts are joined, `...` takes an argument away."""
    result = dict(kwargs)
    for name, value in changes.items():
        result[name] = {**kwargs.get(name, {}), **value} if isinstance(value, dict) else value
    return {name: value for name, value in result.items() if value is not ...}


def states(network: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Random state_dicts of the reference for arguments of our `build`, with names and shapes of our networks."""
    return _states(tuple(network.items()))


@functools.cache
def _states(network: tuple) -> dict[str, dict[str, np.ndarray]]:
    gan = stylegan2.build(**dict(network))
    z, labels, images = np.zeros((2, gan.z_dim)), np.zeros(2, np.int32), np.zeros((2, *gan.image_shape))
    generator = np.random.default_rng(0)

    def state(module, *inputs):
        tree = jax.eval_shape(module.init, jax.random.key(0), *inputs)
        tree = jax.tree.map(lambda leaf: generator.standard_normal(leaf.shape).astype(np.float32), tree)
        return from_flax(tree["params"], tree.get("buffers"))

    return {"G": state(gan.generator, z, labels), "D": state(gan.discriminator, images, labels)}


def write(
    path: pathlib.Path,
    g_kwargs: dict[str, Any] = G_KWARGS,
    d_kwargs: dict[str, Any] = D_KWARGS,
    *,
    network: dict[str, Any] = NETWORK,
    frozen: tuple[str, ...] = (),
    **entries: Any,
) -> pathlib.Path:
    """Writes a pickle with the given constructor arguments, and states of the given network.

    Args:
      path: the file.
      g_kwargs: constructor arguments of the generator.
      d_kwargs: those of the discriminator.
      network: arguments of `build` for the same.
      frozen: names of D's tensors that are stored as buffers.
      **entries: of the pickle, in place of those made here; and g_state, d_state, in place of random ones.
    """
    found = states(network)
    g = writer.module_tree("Generator", g_kwargs, entries.pop("g_state", found["G"]))
    d = writer.module_tree("Discriminator", d_kwargs, entries.pop("d_state", found["D"]), frozen)
    path.write_bytes(writer.dumps({"G": g, "D": d, "G_ema": g} | entries))
    return path
