"""Image-space filtering: changes the power of four frequency bands at random and keeps the total power.

References:
  Karras et al. 2020a, appendix B: a filter bank of the wavelet sym2.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan.augment.draws import Draws, applied, drawn
from flaxgan.augment.spec import FILTER_BANDS, AugmentSpec
from flaxgan.errors import FieldError, Words

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
"""The orthogonal lowpass filter of the wavelet sym2 (Daubechies 1992, table 6.3)."""

EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Fraction of each band in the power of natural images, which decreases with the frequency as 1/f."""

MIN_SIDE_PX = 22
"""Smallest side of an image: it must exceed the reflection that the filter needs, 21 pixels."""


def transform(images: jax.Array, draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Filters each image with a random symmetric filter of 43 taps along both axes; images continue as reflections.

    The filters are written as banded matrices. The two batched products are faster than 43 shifted slices (by far in
    the gradient) and than a grouped convolution, and cost less than one layer of a discriminator at any resolution.

    Args:
      images: float [N, H, W, C], sides of at least 22 pixels.
      draws: random numbers.
      p: probability, a scalar factor of all strengths.
      spec: the enabled augmentations and their strengths.

    Returns:
      [N, H, W, C].

    Raises:
      FieldError: if the images are too small.
    """
    if not spec.imgfilter:
        return images
    height, width = images.shape[1:3]
    if min(height, width) < MIN_SIDE_PX:
        found = Words(f"{height} x {width} pixels")
        raise FieldError("images", found, f"sides of at least {MIN_SIDE_PX}, because spec.imgfilter is above 0")
    highest = jax.lax.Precision.HIGHEST
    taps = jnp.matmul(_band_gains(draws, p, spec), filter_bank().astype(images.dtype), precision=highest)  # [N, 43]
    margin = taps.shape[1] // 2
    padded = jnp.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    padded = jnp.einsum("nih,nhwc->niwc", _sliding(taps, height), padded, precision=highest)
    return jnp.einsum("njw,niwc->nijc", _sliding(taps, width), padded, precision=highest)


def _band_gains(draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """Returns the gain of each band, [N, 4]. The total power is normalized after the change of each band."""
    draw = drawn(draws, "imgfilter")
    factors = jnp.exp2(draw.value * spec.imgfilter_std)
    probability = spec.imgfilter * jnp.asarray(spec.imgfilter_bands, p.dtype) * p
    factors = applied(draw, factors, probability, neutral=1)
    gains = jnp.ones_like(factors)
    for band, strength in enumerate(spec.imgfilter_bands):
        if strength > 0:
            power = 1 + EXPECTED_POWER[band] * (jnp.square(factors[:, band]) - 1)
            gains = gains.at[:, band].multiply(factors[:, band]) / jnp.sqrt(power)[:, None]
    return gains


def _sliding(taps: jax.Array, size: int) -> jax.Array:
    """Returns matrices [N, size, size + 42] whose row i holds the taps [N, 43] from column i on.

    One row is the taps and `size` zeros. Copies of this row are concatenated and cut into pieces that are shorter by
    one element, so that each piece is shifted by one more.
    """
    count, num_taps = taps.shape
    row = jnp.pad(taps, ((0, 0), (0, size)))
    length = size + num_taps - 1
    return jnp.tile(row, (1, size))[:, : size * length].reshape(count, size, length)


@functools.cache
def filter_bank() -> np.ndarray:
    """Returns the taps of the bandpass filters, float64 [4, 43], low frequencies first. Their sum is the identity."""
    low = np.asarray(SYM2)
    high = low * (-1.0) ** np.arange(low.size)
    low, high = (np.convolve(taps, taps[::-1]) / 2 for taps in (low, high))
    bank = np.eye(FILTER_BANDS, 1)
    for band in range(1, FILTER_BANDS):
        spread = np.zeros((FILTER_BANDS, 2 * bank.shape[1] - 1))
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(taps, low) for taps in spread])
        margin = (bank.shape[1] - high.size) // 2
        bank[band, margin : margin + high.size] += high
    return bank
