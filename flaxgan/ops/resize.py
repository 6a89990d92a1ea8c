"""Bilinear resizing by the rules of the libraries with which feature detectors were trained."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.errors import FieldError, Words

RULES = ("half_pixel", "legacy")


def resize_bilinear(images: jax.Array, size: tuple[int, int], *, rule: str) -> jax.Array:
    """Resizes images by bilinear interpolation, without antialiasing when shrinking.

    Output row i of H' lies at the input row, counted from 0:

        half_pixel   (i + 1/2) H / H' - 1/2    PyTorch's interpolate(align_corners=False)
        legacy       i H / H'                  TensorFlow 1's resize_bilinear, as in its Inception network

    Columns follow the same rule. Positions outside of the image take the values of its border.

    Args:
      images: float [N, H, W, C].
      size: (H', W').
      rule: "half_pixel" or "legacy".

    Returns:
      [N, H', W', C] in the images' dtype; computed in float32, or in float64 if they are.

    Raises:
      FieldError: on another shape, size or rule.
    """
    if images.ndim != 4 or 0 in images.shape:
        raise FieldError("images", Words(f"shape {images.shape}"), "[N, H, W, C], not empty")
    if len(size) != 2 or min(size) < 1:
        raise FieldError("size", size, "(H', W') of at least 1")
    if rule not in RULES:
        raise FieldError("rule", rule, ", ".join(RULES))
    compute_type = jnp.promote_types(images.dtype, jnp.float32)
    rows, columns = (
        jnp.asarray(_weights(old, new, rule), compute_type) for old, new in zip(images.shape[1:3], size, strict=True)
    )
    resized = images.astype(compute_type)
    resized = jnp.einsum("ph,nhwc->npwc", rows, resized, precision=jax.lax.Precision.HIGHEST)
    resized = jnp.einsum("qw,npwc->npqc", columns, resized, precision=jax.lax.Precision.HIGHEST)
    return resized.astype(images.dtype)


def _weights(old: int, new: int, rule: str) -> np.ndarray:
    """Returns the weight of each old pixel in each new pixel, float64 [new, old]."""
    shift = 0.5 if rule == "half_pixel" else 0.0
    position = np.clip((np.arange(new) + shift) * (old / new) - shift, 0, old - 1)
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, old - 1)
    weights = np.zeros((new, old))
    np.add.at(weights, (np.arange(new), lower), 1 - (position - lower))
    np.add.at(weights, (np.arange(new), upper), position - lower)
    return weights
