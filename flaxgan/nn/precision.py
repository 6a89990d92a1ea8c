"""Compute types of mixed-precision networks. Parameters are always float32."""

import jax
import jax.numpy as jnp

DTYPES = ("float32", "bfloat16", "float16")


def block_dtype(dtype: str, *, is_low: bool) -> str | None:
    """The compute type of one block of a network.

    Args:
      dtype: the network's compute type, one of DTYPES.
      is_low: whether the block is one of those that the type applies to.

    Returns:
      A type of less than float32, or None: the promoted type of inputs and parameters. float32 is None as well, so
      that float64 parameters and inputs compute in float64.

    Raises:
      ValueError: on another type.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: found {dtype!r}, allowed: {', '.join(DTYPES)}")
    return dtype if is_low and dtype != "float32" else None


def at_least_float32(x: jax.Array) -> jax.Array:
    """x in float32, or in float64 if it is."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
