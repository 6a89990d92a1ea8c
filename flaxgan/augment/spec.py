"""The specification of the augmentation pipe: which augmentations run, how often, and how strongly."""

import dataclasses
import math
from typing import Any

from flaxgan.errors import FieldError

FILTER_BANDS = 4
"""Frequency bands of the image-space filter."""


@dataclasses.dataclass(frozen=True)
class AugmentSpec:
    """The augmentation pipe of StyleGAN2-ADA as data, with the names and defaults of the official code.

    A field without a suffix is the strength of an augmentation: the augmentation is applied to an image with
    probability strength * p, and 0 disables it. The other fields set the range of its effect.

    Raises:
      FieldError: if a field is negative or non-finite, or the length of imgfilter_bands is not 4.

    References:
      Karras et al. 2020a, "Training generative adversarial networks with limited data", appendix B.
    """

    xflip: float = 0.0
    """Flip left to right."""
    rotate90: float = 0.0
    """Rotate by a multiple of 90 degrees."""
    xint: float = 0.0
    """Move by whole pixels."""
    xint_max: float = 0.125
    """Largest move of xint, as a fraction of the width and height."""

    scale: float = 0.0
    """Enlarge or shrink."""
    rotate: float = 0.0
    """Rotate by any angle, before or after aniso."""
    aniso: float = 0.0
    """Stretch one axis and shrink the other."""
    xfrac: float = 0.0
    """Move by any distance."""
    scale_std: float = 0.2
    """Standard deviation of the logarithm (base 2) of the factor of scale."""
    rotate_max: float = 1.0
    """Largest angle of rotate, in half turns."""
    aniso_std: float = 0.2
    """Standard deviation of the logarithm (base 2) of the factor of aniso."""
    xfrac_std: float = 0.125
    """Standard deviation of the move of xfrac, as a fraction of the width and height."""

    brightness: float = 0.0
    """Add the same offset to all colours."""
    contrast: float = 0.0
    """Multiply all colours by the same factor."""
    lumaflip: float = 0.0
    """Invert luma, and keep hue and saturation."""
    hue: float = 0.0
    """Rotate the colours around the grey axis."""
    saturation: float = 0.0
    """Multiply the distance from grey."""
    brightness_std: float = 0.2
    """Standard deviation of the offset of brightness, for colours in [-1, 1]."""
    contrast_std: float = 0.5
    """Standard deviation of the logarithm (base 2) of the factor of contrast."""
    hue_max: float = 1.0
    """Largest angle of hue, in half turns."""
    saturation_std: float = 1.0
    """Standard deviation of the logarithm (base 2) of the factor of saturation."""

    imgfilter: float = 0.0
    """Amplify or attenuate frequency bands."""
    imgfilter_bands: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Factor of the strength of imgfilter for each band, low frequencies first."""
    imgfilter_std: float = 1.0
    """Standard deviation of the logarithm (base 2) of the gain of a band."""

    noise: float = 0.0
    """Add Gaussian noise to every pixel."""
    cutout: float = 0.0
    """Set a rectangle to 0, the middle grey."""
    noise_std: float = 0.1
    """Scale of the half-normal distribution of the noise's standard deviation."""
    cutout_size: float = 0.5
    """Sides of the rectangle, as a fraction of the width and height."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "imgfilter_bands", tuple(self.imgfilter_bands))  # Recipes and pickles hold lists.
        if len(self.imgfilter_bands) != FILTER_BANDS:
            raise FieldError("imgfilter_bands", self.imgfilter_bands, f"{FILTER_BANDS} numbers")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(math.isfinite(number) and number >= 0 for number in numbers):
                raise FieldError(field.name, value, "finite numbers of at least 0")


def preset(name: str) -> AugmentSpec:
    """Returns a set of augmentations by its name in the paper and the official code.

    Args:
      name: one of the six groups blit, geom, color, filter, noise and cutout, or one of their unions in this order: bg,
        bgc (the choice of the paper), bgcf, bgcfn, bgcfnc.

    Raises:
      FieldError: if there is no such preset; the message lists the presets.

    References:
      Karras et al. 2020a, section 4.1 and figure 4.
    """
    if name in _GROUPS:
        chosen = [name]
    elif name in _UNIONS:
        chosen = list(_GROUPS)[: len(name)]
    else:
        raise FieldError("augmentation preset", name, ", ".join((*_GROUPS, *_UNIONS)))
    strengths: dict[str, Any] = {augmentation: 1.0 for group in chosen for augmentation in _GROUPS[group]}
    return AugmentSpec(**strengths)


_GROUPS = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
_UNIONS = ("bg", "bgc", "bgcf", "bgcfn", "bgcfnc")
