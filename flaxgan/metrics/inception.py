"""The Inception-v3 network of the FID and the Inception score, as pure functions of a parameter tree.

It is the network of TensorFlow's inception-2015-12-05 (1008 logits, no auxiliary head). Unlike later Inception-v3
networks, it excludes padding from average pools and uses max pooling in the last block.

Parameters are a nested dict with the names of torchvision's and pytorch-fid's state_dict:
params["Mixed_5b"]["branch1x1"]["conv"]["weight"] is [H, W, I, O]; its ["bn"] has weight, bias, running_mean and
running_var [O]; params["fc"] has weight [2048, 1008] and bias [1008]. `flaxgan.convert.detectors` reads these files.

References:
  Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision"; Heusel et al. 2017.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.ops.resize import resize_bilinear

FEATURE_DIM = 2048
NUM_LOGITS = 1008
SIZE_PX = 299

# The conversion of the TensorFlow weights by pytorch-fid.
WEIGHTS_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
IGNORED_WEIGHTS = ("*.num_batches_tracked",)

CONVENTIONS = ("pytorch_fid", "tf1")
_EPSILON = 1e-3  # of the batch norms


class InceptionOutput(NamedTuple):
    """Features for the FID and logits for the Inception score.

    Attributes:
      features: the last block, averaged over its pixels ("pool3"), [N, 2048].
      logits: [N, 1008], without the bias, as the Inception score uses them.
      bias: [1008]; the classifier's logits are logits + bias.
    """

    features: jax.Array
    logits: jax.Array
    bias: jax.Array


def inception_output(params: Mapping[str, Any], images: jax.Array, *, convention: str) -> InceptionOutput:
    """Computes features and logits of images.

    Args:
      params: the weights.
      images: uint8, or float in [0, 255], [N, H, W, 3].
      convention: convention of resizing and scaling, see `inception_input`.

    Returns:
      Features and logits, computed in the dtype of the weights: float32 as read from files, or float64.

    Raises:
      FieldError: on another shape or convention.
    """
    x = inception_input(jnp.asarray(images, params["fc"]["weight"].dtype), convention=convention)
    *_, x = inception_activations(params, x).values()
    features = jnp.mean(x, axis=(1, 2))
    logits = jnp.dot(features, params["fc"]["weight"], precision=jax.lax.Precision.HIGHEST)
    return InceptionOutput(features, logits, params["fc"]["bias"])


def inception_input(images: jax.Array, *, convention: str) -> jax.Array:
    """Resizes images to 299x299 and scales them to about [-1, 1].

        pytorch_fid   half-pixel centres, 2 x / 255 - 1
        tf1           TensorFlow 1's rule, (x - 128) / 128, as in the training of the weights and in the official FID

    The Frechet distances of the two conventions differ and must not be compared. Neither smooths images before
    shrinking them.

    Args:
      images: float [N, H, W, 3] in [0, 255].
      convention: "pytorch_fid" or "tf1".

    Returns:
      [N, 299, 299, 3] in the images' dtype.

    Raises:
      FieldError: on another shape or convention.
    """
    if images.ndim != 4 or images.shape[3] != 3:
        raise FieldError("images", Words(f"shape {images.shape}"), "[N, H, W, 3]")
    if convention not in CONVENTIONS:
        raise FieldError("convention", convention, ", ".join(CONVENTIONS))
    if convention == "tf1":
        return (resize_bilinear(images, (SIZE_PX, SIZE_PX), rule="legacy") - 128) / 128
    return 2 * resize_bilinear(images / 255, (SIZE_PX, SIZE_PX), rule="half_pixel") - 1


def inception_activations(params: Mapping[str, Any], x: jax.Array) -> dict[str, jax.Array]:
    """Returns the output [N, H', W', C] of every layer and pool, in order, for x from `inception_input`."""
    outputs: dict[str, jax.Array] = {}
    for name, layer in _LAYERS.items():
        x = outputs[name] = layer(params.get(name, {}), x)
    return outputs


def _conv(p: Mapping[str, Any], x: jax.Array, *, stride: int = 1, padding: str = "SAME") -> jax.Array:
    """Applies convolution, batch norm with stored statistics, and ReLU."""
    bn = p["bn"]
    scale = bn["weight"] * jax.lax.rsqrt(bn["running_var"] + _EPSILON)
    x = jax.lax.conv_general_dilated(
        x,
        p["conv"]["weight"] * scale,
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return nn.relu(x + (bn["bias"] - bn["running_mean"] * scale))


def _chain(p: Mapping[str, Any], x: jax.Array, *names: str) -> jax.Array:
    """Applies convolutions in sequence."""
    for name in names:
        x = _conv(p[name], x)
    return x


def _shrink(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    """Applies a convolution of stride 2, without padding."""
    return _conv(p, x, stride=2, padding="VALID")


def _valid(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return _conv(p, x, padding="VALID")


def _max_pool(_: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2))


def _average_pool(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _join(*branches: jax.Array) -> jax.Array:
    return jnp.concatenate(branches, axis=3)


def _block_a(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return _join(
        _conv(p["branch1x1"], x),
        _chain(p, x, "branch5x5_1", "branch5x5_2"),
        _chain(p, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        _conv(p["branch_pool"], _average_pool(x)),
    )


def _block_b(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    double = _shrink(p["branch3x3dbl_3"], _chain(p, x, "branch3x3dbl_1", "branch3x3dbl_2"))
    return _join(_shrink(p["branch3x3"], x), double, _max_pool({}, x))


def _block_c(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return _join(
        _conv(p["branch1x1"], x),
        _chain(p, x, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
        _chain(p, x, *(f"branch7x7dbl_{index}" for index in range(1, 6))),
        _conv(p["branch_pool"], _average_pool(x)),
    )


def _block_d(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    wide = _shrink(p["branch7x7x3_4"], _chain(p, x, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3"))
    return _join(_shrink(p["branch3x3_2"], _conv(p["branch3x3_1"], x)), wide, _max_pool({}, x))


def _block_e(p: Mapping[str, Any], x: jax.Array, pooled: jax.Array) -> jax.Array:
    once = _conv(p["branch3x3_1"], x)
    twice = _chain(p, x, "branch3x3dbl_1", "branch3x3dbl_2")
    return _join(
        _conv(p["branch1x1"], x),
        *(_conv(p[name], once) for name in ("branch3x3_2a", "branch3x3_2b")),
        *(_conv(p[name], twice) for name in ("branch3x3dbl_3a", "branch3x3dbl_3b")),
        _conv(p["branch_pool"], pooled),
    )


def _block_e_average(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return _block_e(p, x, _average_pool(x))


def _block_e_maximum(p: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return _block_e(p, x, nn.max_pool(x, (3, 3), padding="SAME"))


_LAYERS = {
    "Conv2d_1a_3x3": _shrink,
    "Conv2d_2a_3x3": _valid,
    "Conv2d_2b_3x3": _conv,
    "max_pool_1": _max_pool,
    "Conv2d_3b_1x1": _conv,
    "Conv2d_4a_3x3": _valid,
    "max_pool_2": _max_pool,
    "Mixed_5b": _block_a,
    "Mixed_5c": _block_a,
    "Mixed_5d": _block_a,
    "Mixed_6a": _block_b,
    "Mixed_6b": _block_c,
    "Mixed_6c": _block_c,
    "Mixed_6d": _block_c,
    "Mixed_6e": _block_c,
    "Mixed_7a": _block_d,
    "Mixed_7b": _block_e_average,
    "Mixed_7c": _block_e_maximum,
}
