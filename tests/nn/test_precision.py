"""Compute types."""

import jax
import jax.numpy as jnp
import pytest

from flaxgan.nn import precision


def test_only_low_blocks_of_low_types_leave_the_promoted_type():
    assert precision.block_dtype("bfloat16", is_low=True) == "bfloat16"
    assert precision.block_dtype("bfloat16", is_low=False) is None
    assert precision.block_dtype("float32", is_low=True) is None


def test_unknown_type_is_refused():
    with pytest.raises(ValueError, match="dtype: found 'float8', allowed: float32, bfloat16, float16"):
        precision.block_dtype("float8", is_low=False)


def test_at_least_float32_raises_low_types_only():
    assert precision.at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert precision.at_least_float32(jnp.ones(2, jnp.float64)).dtype == jnp.float64
