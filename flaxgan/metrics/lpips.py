"""LPIPS, a perceptual distance between images from the features of VGG-16, as pure functions of a parameter tree.

Parameters are a nested dict with the names of torchvision's VGG-16 and of LPIPS's own file:
params["features"]["0"] has weight [3, 3, 3, 64] and bias [64]; params["lin0"]["model"]["1"]["weight"] is [1, 1, 64, 1].
`flaxgan.convert.detectors` reads these files; the tree is the union of the trees of the two files below.

References:
  Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", equation 1; version 0.1
  of its code, with the network "vgg".
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.ops.resize import resize_bilinear

# The two published files.
VGG_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
VGG_SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
IGNORED_VGG_WEIGHTS = ("classifier.*",)
LIN_URL = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth"
LIN_SHA256 = "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"

# Output channels of each convolution of VGG-16, by block. The image is halved between blocks.
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
MIN_SIZE_PX = 2 ** (len(_BLOCKS) - 1)

# Mean and standard deviation of natural images in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


def vgg_shapes() -> dict[str, tuple[int, ...]]:
    """Returns state_dict name -> shape for the convolutions of torchvision's VGG-16: kernels [O, I, H, W]."""
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for indices, widths in zip(_indices(), _BLOCKS, strict=True):
        for index, outputs in zip(indices, widths, strict=True):
            shapes[f"features.{index}.weight"] = (outputs, inputs, 3, 3)
            shapes[f"features.{index}.bias"] = (outputs,)
            inputs = outputs
    return shapes


def lin_shapes() -> dict[str, tuple[int, ...]]:
    """Returns state_dict name -> shape for the channel weights that LPIPS adds."""
    return {f"lin{block}.model.1.weight": (1, widths[-1], 1, 1) for block, widths in enumerate(_BLOCKS)}


def vgg_features(params: Mapping[str, Any], images: jax.Array) -> tuple[jax.Array, ...]:
    """Computes the last activations of each of the five blocks (relu1_2, 2_2, 3_3, 4_3, 5_3), each [N, H', W', C].

    Args:
      params: the weights, of which "features" are used.
      images: float [N, H, W, 3] in [-1, 1], at least 16x16.

    Raises:
      FieldError: on another shape.
    """
    if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < MIN_SIZE_PX:
        raise FieldError("images", Words(f"shape {images.shape}"), f"[N, H, W, 3], H and W at least {MIN_SIZE_PX}")
    x = (images - jnp.asarray(_SHIFT, images.dtype)) / jnp.asarray(_SCALE, images.dtype)
    features: list[jax.Array] = []
    for indices in _indices():
        if features:
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        for index in indices:
            x = nn.relu(_conv(params["features"][str(index)], x))
        features.append(x)
    return tuple(features)


def lpips_distance(params: Mapping[str, Any], a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes the perceptual distance of each pair of images, [N], the sum of `layer_distances`."""
    return jnp.sum(layer_distances(params, a, b), axis=1)


def layer_distances(params: Mapping[str, Any], a: jax.Array, b: jax.Array, *, weighted: bool = True) -> jax.Array:
    """Computes the contribution of each block of layers to the perceptual distance.

    Features are normalized over channels at each pixel. Their squared differences are weighted, summed over channels,
    and averaged over pixels.

    Args:
      params: the weights.
      a: images, float [N, H, W, 3] in [-1, 1], at least 16x16.
      b: images of the shape of a.
      weighted: True gives the channels the learned weights of LPIPS, False the weight 1.

    Returns:
      [N, 5].

    Raises:
      FieldError: on another shape, or if the shapes of a and b differ.
    """
    maps = _layer_maps(params, a, b, weighted=weighted)
    return jnp.stack([jnp.mean(layer_map, axis=(1, 2, 3)) for layer_map in maps], axis=1)


def distance_map(params: Mapping[str, Any], a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes a map of the differences between images, [N, H, W]: the sum of the blocks' maps, resized to the images.

    Arguments and errors are those of `layer_distances`.
    """
    maps = _layer_maps(params, a, b, weighted=True)
    size = (a.shape[1], a.shape[2])
    return functools.reduce(jnp.add, [resize_bilinear(one, size, rule="half_pixel")[..., 0] for one in maps])


def lpips_vector(params: Mapping[str, Any], images: jax.Array) -> jax.Array:
    """Computes vectors [N, F] of images, whose squared differences sum to the perceptual distance.

    F is 122 numbers for each pixel. `flaxgan.metrics.perceptual_path` takes these vectors, but gives images in
    [0, 255].

    Args:
      params: the weights. Those of LPIPS must be at least 0, as they are after training.
      images: float [N, H, W, 3] in [-1, 1], at least 16x16.
    """
    parts = []
    for block, features in enumerate(vgg_features(params, images)):
        pixels = features.shape[1] * features.shape[2]
        part = _normalized(features) * jnp.sqrt(_channel_weights(params, block) / pixels)
        parts.append(part.reshape(len(images), -1))
    return jnp.concatenate(parts, axis=1)


def _layer_maps(params: Mapping[str, Any], a: jax.Array, b: jax.Array, *, weighted: bool) -> list[jax.Array]:
    """Computes the map [N, H', W', 1] of each block."""
    if a.shape != b.shape:
        raise FieldError("b", Words(f"shape {b.shape}"), f"that of a, {a.shape}")
    maps = []
    for block, features in enumerate(vgg_features(params, jnp.concatenate([a, b]))):
        first, second = jnp.split(_normalized(features), 2)
        squares = jnp.square(first - second)
        squares = squares * _channel_weights(params, block) if weighted else squares
        maps.append(jnp.sum(squares, axis=3, keepdims=True))
    return maps


def _channel_weights(params: Mapping[str, Any], block: int) -> jax.Array:
    return params[f"lin{block}"]["model"]["1"]["weight"][0, 0, :, 0]


def _normalized(features: jax.Array) -> jax.Array:
    """Computes x / (|x| + 1e-10) over channels; the gradient is zero where all channels are zero."""
    squares = jnp.sum(jnp.square(features), axis=3, keepdims=True)
    norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return features / (norm + _EPSILON)


def _conv(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    x = jax.lax.conv_general_dilated(
        x,
        p["weight"],
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return x + p["bias"]


def _indices() -> list[list[int]]:
    """Returns the indices of the convolutions in torchvision's list of layers, which also holds ReLUs and pools."""
    indices, place = [], 0
    for widths in _BLOCKS:
        indices.append([place + 2 * convolution for convolution in range(len(widths))])
        place += 2 * len(widths) + 1
    return indices
