"""The random numbers of augmentation, separate from their use: tests, goldens and replays can supply their own."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import erfinv

from flaxgan.augment.spec import FILTER_BANDS, AugmentSpec
from flaxgan.errors import FieldError


class Draw(NamedTuple):
    """Random numbers of one augmentation.

    Attributes:
      gate: uniform in [0, 1), [N] (imgfilter: [N, 4], one for each band). The augmentation is applied where
        gate < strength * p.
      value: uniform in [0, 1) or standard normal (as `VALUES` says), [N] or [N, k], before any scale of the spec.
    """

    gate: jax.Array
    value: jax.Array


class Draws(NamedTuple):
    """All random numbers of one batch. They do not depend on p. An augmentation that the spec disables is None.

    `rotate_pre` and `rotate_post` are the two halves of rotate, before and after aniso. `noise` is the strength of the
    noise, and `noise_image` [N, H, W, C] is the noise itself, standard normal.
    """

    xflip: Draw | None = None
    rotate90: Draw | None = None
    xint: Draw | None = None
    scale: Draw | None = None
    rotate_pre: Draw | None = None
    aniso: Draw | None = None
    rotate_post: Draw | None = None
    xfrac: Draw | None = None
    brightness: Draw | None = None
    contrast: Draw | None = None
    lumaflip: Draw | None = None
    hue: Draw | None = None
    saturation: Draw | None = None
    imgfilter: Draw | None = None
    noise: Draw | None = None
    noise_image: jax.Array | None = None
    cutout: Draw | None = None


VALUES = {
    "xflip": ("uniform", ()),
    "rotate90": ("uniform", ()),
    "xint": ("uniform", (2,)),
    "scale": ("normal", ()),
    "rotate_pre": ("uniform", ()),
    "aniso": ("normal", ()),
    "rotate_post": ("uniform", ()),
    "xfrac": ("normal", (2,)),
    "brightness": ("normal", ()),
    "contrast": ("normal", ()),
    "lumaflip": ("uniform", ()),
    "hue": ("uniform", ()),
    "saturation": ("normal", ()),
    "imgfilter": ("normal", (FILTER_BANDS,)),
    "noise": ("normal", ()),
    "cutout": ("uniform", (2,)),
}
"""Distribution, and shape per image, of the value of each `Draw`; pairs are (x, y)."""

_ALWAYS = -1.0  # A gate below every probability.


def draw(
    key: jax.Array, spec: AugmentSpec, batch: int, image_shape: tuple[int, int, int], *, dtype: Any = float
) -> Draws:
    """Draws the random numbers that `flaxgan.augment.augment` needs for one batch.

    Args:
      key: a PRNG key, which is consumed.
      spec: the augmentations; only those with a strength above 0 are drawn.
      batch: number of images N.
      image_shape: (H, W, C).
      dtype: float type of the numbers; `float` is JAX's default.
    """
    keys = dict(zip(Draws._fields, jax.random.split(key, len(Draws._fields)), strict=True))
    draws: dict[str, Any] = {name: _draw_one(keys[name], name, batch, dtype) for name in enabled(spec)}
    if spec.noise > 0:
        draws["noise_image"] = jax.random.normal(keys["noise_image"], (batch, *image_shape), dtype)
    return Draws(**draws)


def _draw_one(key: jax.Array, name: str, batch: int, dtype: Any) -> Draw:
    gate_key, value_key = jax.random.split(key)
    distribution, shape = VALUES[name]
    sample = {"uniform": jax.random.uniform, "normal": jax.random.normal}[distribution]
    gate = jax.random.uniform(gate_key, _gate_shape(name, batch), dtype)
    return Draw(gate, sample(value_key, (batch, *shape), dtype))


def percentile_draws(
    percentile: float, spec: AugmentSpec, batch: int, *, noise_image: jax.Array | None = None, dtype: Any = float
) -> Draws:
    """Returns draws that apply every enabled augmentation to every image, for any p, at a percentile of its range.

    Args:
      percentile: q in (0, 1), rounded to float32. A uniform number becomes q, a normal number erfinv(2q - 1), and the
        strength of the noise erfinv(q). Only the first of the two rotations, before aniso, is applied.
      spec: the enabled augmentations and their strengths.
      batch: number of images N.
      noise_image: the additive noise [N, H, W, C], required if spec.noise is above 0; it has no percentile.
      dtype: float type of the numbers; `float` is JAX's default.

    Raises:
      FieldError: if the percentile is outside (0, 1), or noise_image is missing.

    References:
      debug_percentile of the official code's AugmentPipe, which omits the sqrt(2) of a normal distribution's
      percentile.
    """
    q = float(np.float32(percentile))
    if not 0 < q < 1:
        raise FieldError("percentile", percentile, "above 0 and below 1")
    if spec.noise > 0 and noise_image is None:
        raise FieldError("noise_image", None, f"an array [N, H, W, C], because spec.noise is {spec.noise}")
    values = {"uniform": q, "normal": erfinv(2 * q - 1)}
    exceptions = {"rotate_post": 0.5, "noise": erfinv(q)}
    draws: dict[str, Any] = {}
    for name in enabled(spec):
        distribution, shape = VALUES[name]
        value = exceptions.get(name, values[distribution])
        gate = jnp.full(_gate_shape(name, batch), _ALWAYS, dtype)
        draws[name] = Draw(gate, jnp.full((batch, *shape), value, dtype))
    return Draws(**draws, noise_image=noise_image if spec.noise > 0 else None)


def _gate_shape(name: str, batch: int) -> tuple[int, ...]:
    return (batch, FILTER_BANDS) if name == "imgfilter" else (batch,)


def enabled(spec: AugmentSpec) -> list[str]:
    """Returns the names of the draws that a spec needs, except noise_image."""
    return [name for name in VALUES if getattr(spec, name.removesuffix("_pre").removesuffix("_post")) > 0]


def drawn(draws: Draws, name: str) -> Draw:
    """Returns the random numbers of an enabled augmentation.

    Raises:
      FieldError: if the draws do not have them.
    """
    draw = getattr(draws, name)
    if draw is None:
        raise FieldError(f"draws.{name}", None, "random numbers, because the spec enables this augmentation")
    return draw


def applied(draw: Draw, value: jax.Array, probability: jax.Array | float, *, neutral: float) -> jax.Array:
    """Selects a parameter of an augmentation where its gate is open, and the neutral parameter elsewhere.

    Args:
      draw: random numbers of the augmentation.
      value: the parameter, float [N] or [N, k].
      probability: probability of the augmentation, a scalar, or [4] for the bands of the filter.
      neutral: the parameter that changes nothing.
    """
    gate = draw.gate < probability
    return jnp.where(gate.reshape(*gate.shape, *(1,) * (value.ndim - gate.ndim)), value, neutral)
