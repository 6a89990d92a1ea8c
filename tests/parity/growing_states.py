"""Variables of our growing networks from the states of the references, and what all of their goldens are made of.

The official TensorFlow codes keep kernels as [H, W, I, O], except PGGAN's fused enlarging convolution, [H, W, O, I]; a
fused enlarging convolution equals ours with the kernel flipped. Dense layers read or make [C, H, W].
"""

import re
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

State = dict[str, np.ndarray]


def tree(flat: State) -> dict[str, Any]:
    """A tree from names with slashes."""
    return unflatten_dict(flat, sep="/")


def require_variables(found: dict[str, Any], network: Any, *inputs: Any) -> None:
    """Checks that the variables are those that the network creates, by name and shape.

    Raises:
      AssertionError: if they are not.
    """
    expected = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    shapes = lambda variables: {name: leaf.shape for name, leaf in flatten_dict(variables, sep="/").items()}
    if shapes(found) != shapes(expected):
        differing = set(shapes(found).items()) ^ set(shapes(expected).items())
        raise AssertionError(f"the state and the network differ: {sorted(differing)}")


def from_chw(weight: np.ndarray, height: int, width: int) -> np.ndarray:
    """Rows of a dense kernel [C H W, O] that reads a flattened map, for one flattened as [H, W, C]."""
    channels = weight.shape[0] // (height * width)
    return weight.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(weight.shape)


def to_chw(weight: np.ndarray, height: int, width: int) -> np.ndarray:
    """Columns of a dense kernel [I, C H W] that makes a flattened map, for one flattened as [H, W, C]."""
    channels = weight.shape[1] // (height * width)
    return weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(weight.shape)


def flipped(kernel: np.ndarray) -> np.ndarray:
    """A kernel [H, W, ...] turned by 180 degrees."""
    return kernel[::-1, ::-1].copy()


def tf_discriminator(state: State, resolution: int) -> dict[str, Any]:
    """Parameters of a `GrowingDiscriminator` from the official codes' D."""
    params = {}
    for name, array in state.items():
        scope, _, leaf = name.rpartition("/")
        if scope == "4x4/Dense0" and leaf == "weight":
            array = from_chw(array, 4, 4)
        params[f"{_tf_scope(scope, resolution)}/{leaf}"] = array
    return tree(params)


def tf_generator(state: State, resolution: int) -> dict[str, Any]:
    """Parameters of a `GrowingGenerator` from the official PGGAN code's G."""
    params = {}
    for name, array in state.items():
        scope, _, leaf = name.rpartition("/")
        if scope == "4x4/Dense":
            array = to_chw(array, 4, 4) if leaf == "weight" else array
            params["b4/fc/weight" if leaf == "weight" else "b4/fc_bias"] = array
            continue
        if scope.endswith("_up") and leaf == "weight":
            array = flipped(array).swapaxes(2, 3)
        scope = "4x4/Conv1" if scope == "4x4/Conv" else scope
        params[f"{_tf_scope(scope, resolution)}/{leaf}"] = array
    return tree(params)


def tf_synthesis(state: State, resolution: int, *, fused_px: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of an `AdaINSynthesis` from the official StyleGAN code's synthesis network.

    Args:
      state: its variables.
      resolution: of the full image.
      fused_px: resolution from which enlarging convolutions are fused, and so have flipped kernels.
    """
    params, buffers = {}, {}
    for name, array in state.items():
        if noise := re.fullmatch(r"noise(\d+)", name):
            layer = int(noise[1])
            buffers[f"b{4 << layer // 2}/layer{layer % 2}/noise_const"] = array[0, 0]
        elif name.startswith("ToRGB"):
            scope, _, leaf = name.partition("/")
            params[f"{_tf_scope(scope, resolution)}/{leaf}"] = array
        else:
            block, layer, leaf = name.split("/", 2)
            px, number = int(block.partition("x")[0]), int(layer in ("Conv", "Conv1"))
            params[f"b{px}/{_SYNTHESIS_NAMES[leaf].format(number)}"] = _synthesis_array(
                array, leaf, is_fused=layer == "Conv0_up" and px >= fused_px
            )
    return tree(params), tree(buffers)


_SYNTHESIS_NAMES = {
    "const": "const",
    "weight": "conv{}/weight",
    "bias": "layer{}/bias",
    "Noise/weight": "layer{}/noise_strength",
    "StyleMod/weight": "layer{}/affine/weight",
    "StyleMod/bias": "layer{}/affine/bias",
}


def _synthesis_array(array: np.ndarray, leaf: str, *, is_fused: bool) -> np.ndarray:
    if leaf == "const":
        return array[0].transpose(1, 2, 0)
    return flipped(array) if leaf == "weight" and is_fused else array


def tf_mapping(state: State) -> dict[str, Any]:
    """Parameters of a `JointMappingNetwork` from the official StyleGAN code's mapping network."""
    names = {name: re.sub(r"^Dense(\d+)", r"fc\1", name).replace("LabelConcat/weight", "embed") for name in state}
    return tree({names[name]: array for name, array in state.items()})


def _tf_scope(scope: str, resolution: int) -> str:
    """Our name of a scope such as "16x16/Conv1_down" or "ToRGB_lod2"."""
    if rgb := re.fullmatch(r"(ToRGB|FromRGB)_lod(\d+)", scope):
        return f"{rgb[1].lower()}{resolution >> int(rgb[2])}"
    block, _, layer = scope.partition("/")
    layers = {"Conv": "conv", "Dense0": "fc", "Dense1": "out"}
    layer = layers.get(layer, layer.removesuffix("_up").removesuffix("_down").lower())
    return f"b{block.partition('x')[0]}/{layer}"
