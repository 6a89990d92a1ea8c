"""Compute types of mixed-precision networks. Parameters are always float32."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError

DTYPES = ("float32", "bfloat16", "float16")


def block_dtype(dtype: str, *, is_low: bool) -> str | None:
    """Returns the compute type of one block of a network.

    Args:
      dtype: compute type of the network, one of DTYPES.
      is_low: whether the block uses this type.

    Returns:
      A type below float32, or None for the promoted type of inputs and parameters. float32 also gives None, so that
      float64 parameters and inputs compute in float64.

    Raises:
      FieldError: on another type.
    """
    if dtype not in DTYPES:
        raise FieldError("dtype", dtype, ", ".join(DTYPES))
    return dtype if is_low and dtype != "float32" else None


def at_least_float32(x: jax.Array) -> jax.Array:
    """Converts x to float32, or keeps float64."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
