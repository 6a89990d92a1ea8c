"""Factors of the learning rate by the number of images seen. Pure functions of numbers that may be traced."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError

DECAYS: dict[str, Callable[[jax.Array], jax.Array] | None] = {
    "none": None,
    "linear": lambda t: 1 - t,
    "cosine": lambda t: 0.5 * (1 + jnp.cos(jnp.pi * t)),
}
"""Kinds of decay: a function of the share t of the decay that has passed, in [0, 1]."""


def rampup_factor(kimg: jax.Array | float, *, rampup_kimg: float) -> jax.Array:
    """Computes the Gaussian ramp-up of the learning rate, exp(-5 (1 - kimg / rampup_kimg)^2), and 1 after it.

    Args:
      kimg: thousands of images seen since the run began, any shape, at least 0. Growing does not begin it anew.
      rampup_kimg: length of the ramp in kimg; 0 means none: the factor is 1.

    Raises:
      FieldError: if rampup_kimg is negative.

    References:
      `rampup` of the official PGGAN code (Theano branch), over the first 40 kimg of a run.
    """
    if rampup_kimg < 0:
        raise FieldError("rampup_kimg", rampup_kimg, "at least 0")
    kimg = _as_float(kimg)
    if rampup_kimg == 0:
        return jnp.ones_like(kimg)
    return jnp.exp(-5 * jnp.square(1 - jnp.clip(kimg / rampup_kimg, 0, 1)))


def decay(
    *, kind: str = "none", start_kimg: float = 0.0, total_kimg: float = 0.0
) -> Callable[[jax.Array | float], jax.Array]:
    """Builds the decay of the learning rate from 1 at start_kimg to 0 at total_kimg.

    With t = (kimg - start_kimg) / (total_kimg - start_kimg) in [0, 1]: linear is 1 - t, cosine (1 + cos(pi t)) / 2.

    Args:
      kind: one of DECAYS; "none" is 1 throughout, whatever the other arguments are.
      start_kimg: until here the factor is 1.
      total_kimg: from here on it is 0; more than start_kimg.

    Returns:
      A function from thousands of images seen, of any shape, to the factor.

    Raises:
      FieldError: naming the argument, the value found and the values allowed.

    References:
      linear to 0, Miyato et al. 2018 (SNGAN), section 4; cosine, Loshchilov and Hutter 2017, equation 5.
    """
    if kind not in DECAYS:
        raise FieldError("kind", kind, ", ".join(DECAYS))
    shape = DECAYS[kind]
    if shape is None:
        return lambda kimg: jnp.ones_like(_as_float(kimg))
    if not 0 <= start_kimg < total_kimg:
        raise FieldError("start_kimg", start_kimg, f"at least 0 and below total_kimg {total_kimg}")
    return lambda kimg: shape(jnp.clip((_as_float(kimg) - start_kimg) / (total_kimg - start_kimg), 0, 1))


def _as_float(kimg: jax.Array | float) -> jax.Array:
    kimg = jnp.asarray(kimg)
    return kimg if jnp.issubdtype(kimg.dtype, jnp.floating) else kimg.astype(float)
