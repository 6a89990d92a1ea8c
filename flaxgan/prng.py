"""Random keys. Each is derived for one step and one purpose, and never stored."""

import zlib

import jax


def step_key(seed: int, step: jax.Array | int, name: str) -> jax.Array:
    """Derives the key of one purpose at one training step, a pure function of its arguments.

    Args:
      seed: the seed of the run.
      step: the training step, a Python int or a traced int32 scalar.
      name: the purpose, e.g. "g_main".

    Returns:
      A typed PRNG key.
    """
    return jax.random.fold_in(purpose_key(seed, name), step)


def purpose_key(seed: int, name: str) -> jax.Array:
    """Derives the key of a purpose that belongs to no step, such as initialization."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
