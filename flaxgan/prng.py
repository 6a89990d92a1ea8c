"""Random keys: one per step and purpose, derived and never stored."""

import zlib

import jax


def step_key(seed: int, step: jax.Array | int, name: str) -> jax.Array:
    """The key of one purpose at one training step, a pure function of its arguments.

    Args:
      seed: the run's seed.
      step: the training step, a Python int or a traced int32 scalar.
      name: the purpose, e.g. "g_main".

    Returns:
      A typed PRNG key.
    """
    return jax.random.fold_in(purpose_key(seed, name), step)


def purpose_key(seed: int, name: str) -> jax.Array:
    """The key of a purpose that belongs to no step, such as initialization."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
