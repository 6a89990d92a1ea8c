"""Which augmentations run, how often and how strongly."""

import dataclasses
import math

FILTER_BANDS = 4
"""Frequency bands of the image-space filter."""


@dataclasses.dataclass(frozen=True)
class AugmentSpec:
    """The pipe of StyleGAN2-ADA as data, with the official code's names and defaults.

    A field without a suffix is an augmentation's strength: it is applied to an image with probability strength * p, 0
    leaves it out. The other fields say how far it goes.

    Raises:
      ValueError: if a field is negative or not finite, or imgfilter_bands has another length than 4.

    Reference: Karras et al. 2020a, "Training generative adversarial networks with limited data", appendix B.
    """

    xflip: float = 0.0
    """Mirror left to right."""
    rotate90: float = 0.0
    """Turn by a multiple of 90 degrees."""
    xint: float = 0.0
    """Move by whole pixels."""
    xint_max: float = 0.125
    """Largest move of xint, as a share of the width and height."""

    scale: float = 0.0
    """Enlarge or shrink."""
    rotate: float = 0.0
    """Turn by any angle, before or after aniso."""
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
    """Standard deviation of the move of xfrac, as a share of the width and height."""

    brightness: float = 0.0
    """Add to every colour."""
    contrast: float = 0.0
    """Multiply every colour."""
    lumaflip: float = 0.0
    """Reverse light and dark, keep hue and saturation."""
    hue: float = 0.0
    """Rotate the colours around the grey axis."""
    saturation: float = 0.0
    """Multiply the distance from grey."""
    brightness_std: float = 0.2
    """Standard deviation of what brightness adds, where colours span [-1, 1]."""
    contrast_std: float = 0.5
    """Standard deviation of the logarithm (base 2) of the factor of contrast."""
    hue_max: float = 1.0
    """Largest angle of hue, in half turns."""
    saturation_std: float = 1.0
    """Standard deviation of the logarithm (base 2) of the factor of saturation."""

    imgfilter: float = 0.0
    """Amplify or weaken frequency bands."""
    imgfilter_bands: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Factors on imgfilter's strength for each band, low frequencies first."""
    imgfilter_std: float = 1.0
    """Standard deviation of the logarithm (base 2) of a band's gain."""

    noise: float = 0.0
    """Add Gaussian noise to every pixel."""
    cutout: float = 0.0
    """Set a rectangle to 0, the middle grey."""
    noise_std: float = 0.1
    """Standard deviation of the half-normal distribution of the noise's standard deviation."""
    cutout_size: float = 0.5
    """Sides of the rectangle, as a share of the width and height."""

    def __post_init__(self):
        object.__setattr__(self, "imgfilter_bands", tuple(self.imgfilter_bands))  # Recipes and pickles hold lists.
        if len(self.imgfilter_bands) != FILTER_BANDS:
            raise ValueError(f"imgfilter_bands: found {self.imgfilter_bands}, allowed: {FILTER_BANDS} numbers")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(math.isfinite(number) and number >= 0 for number in numbers):
                raise ValueError(f"{field.name}: found {value}, allowed: finite numbers of at least 0")


def preset(name: str) -> AugmentSpec:
    """A set of augmentations by the name that the paper and the official code give it.

    Args:
      name: blit, geom, color, filter, noise or cutout, the six groups; or their unions in this order: bg, bgc (the
        paper's choice), bgcf, bgcfn, bgcfnc.

    Raises:
      ValueError: if there is no such preset; the message lists those there are.

    Reference: Karras et al. 2020a, section 4.1 and figure 4.
    """
    if name in _GROUPS:
        chosen = [name]
    elif name in _UNIONS:
        chosen = list(_GROUPS)[: len(name)]
    else:
        raise ValueError(f"augmentation preset: found {name!r}, allowed: {', '.join((*_GROUPS, *_UNIONS))}")
    return AugmentSpec(**{augmentation: 1.0 for group in chosen for augmentation in _GROUPS[group]})


_GROUPS = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
_UNIONS = ("bg", "bgc", "bgcf", "bgcfn", "bgcfnc")
