"""Factors of the learning rate by the number of images seen. Pure functions of numbers that may be traced."""

import jax
import jax.numpy as jnp

DECAYS = ("none", "linear", "cosine")


def rampup_factor(kimg: jax.Array | float, *, rampup_kimg: float) -> jax.Array:
    """Gaussian ramp-up of the learning rate, exp(-5 (1 - kimg / rampup_kimg)^2), and 1 after it.

    Args:
      kimg: thousands of images seen (since the stage began, where the optimizer starts anew), any shape, at least 0.
      rampup_kimg: length of the ramp in kimg; 0 means none: the factor is 1.

    Raises:
      ValueError: if rampup_kimg is negative.

    Reference: `rampup` of the official PGGAN code (Theano branch), 40 kimg.
    """
    if rampup_kimg < 0:
        raise ValueError(f"rampup_kimg: found {rampup_kimg}, allowed: at least 0")
    kimg = _as_float(kimg)
    if rampup_kimg == 0:
        return jnp.ones_like(kimg)
    return jnp.exp(-5 * jnp.square(1 - jnp.clip(kimg / rampup_kimg, 0, 1)))


def decay_factor(
    kimg: jax.Array | float, *, kind: str = "none", start_kimg: float = 0.0, total_kimg: float = 0.0
) -> jax.Array:
    """Decay of the learning rate from 1 at start_kimg to 0 at total_kimg.

    With t = (kimg - start_kimg) / (total_kimg - start_kimg) in [0, 1]: linear is 1 - t, cosine (1 + cos(pi t)) / 2.

    Args:
      kimg: thousands of images seen, any shape.
      kind: one of DECAYS; "none" is 1 throughout and looks at nothing else.
      start_kimg: until here the factor is 1.
      total_kimg: from here on it is 0; more than start_kimg.

    Raises:
      ValueError: naming the argument, what was found and what is allowed.

    Reference: linear to 0, Miyato et al. 2018 (SNGAN), section 4; cosine, Loshchilov and Hutter 2017, equation 5.
    """
    if kind not in DECAYS:
        raise ValueError(f"kind: found {kind!r}, allowed: {', '.join(DECAYS)}")
    kimg = _as_float(kimg)
    if kind == "none":
        return jnp.ones_like(kimg)
    if not 0 <= start_kimg < total_kimg:
        raise ValueError(f"start_kimg: found {start_kimg}, allowed: at least 0 and below total_kimg {total_kimg}")
    t = jnp.clip((kimg - start_kimg) / (total_kimg - start_kimg), 0, 1)
    return 1 - t if kind == "linear" else 0.5 * (1 + jnp.cos(jnp.pi * t))


def _as_float(kimg: jax.Array | float) -> jax.Array:
    kimg = jnp.asarray(kimg)
    return kimg if jnp.issubdtype(kimg.dtype, jnp.floating) else kimg.astype(float)
