"""Arguments and probability of the augmentation pipe in a StyleGAN2-ADA network pickle."""

from typing import Any

from flaxgan.convert.constructor import Arguments, require_class
from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.pickle_machine import PickleRefused

# Arguments of the reference's AugmentPipe, in the order of its constructor.
NAMES = (
    "xflip",
    "rotate90",
    "xint",
    "xint_max",
    "scale",
    "rotate",
    "aniso",
    "xfrac",
    "scale_std",
    "rotate_max",
    "aniso_std",
    "xfrac_std",
    "brightness",
    "contrast",
    "lumaflip",
    "hue",
    "saturation",
    "brightness_std",
    "contrast_std",
    "hue_max",
    "saturation_std",
    "imgfilter",
    "imgfilter_bands",
    "imgfilter_std",
    "noise",
    "cutout",
    "noise_std",
    "cutout_size",
)


def augment_options(record: ModuleRecord) -> dict[str, Any]:
    """Returns the strengths and ranges of the augmentations that were given, by the reference's names.

    Returns:
      Keyword arguments of `flaxgan.augment.spec.AugmentSpec`.

    Raises:
      PickleRefused: naming the argument, if one is unknown or not a number.
    """
    require_class(record, "AugmentPipe", "augment_pipe")
    arguments = Arguments.of(record, "augment_pipe", NAMES)
    options = {name: arguments.take(name, None, int, float) for name in NAMES if name != "imgfilter_bands"}
    bands = arguments.take("imgfilter_bands", None, list, tuple)
    arguments.finish()
    if bands is not None and not all(type(band) in (int, float) for band in bands):
        raise PickleRefused(f"augment_pipe.imgfilter_bands: found {str(bands)[:60]!r}, allowed: a list of numbers")
    options["imgfilter_bands"] = None if bands is None else tuple(bands)
    return {name: value for name, value in options.items() if value is not None}


def augment_probability(record: ModuleRecord) -> float:
    """Returns the probability p of each augmentation when the pickle was written.

    Raises:
      PickleRefused: if the pipe has no valid probability.
    """
    p = record.buffers.get("p")
    if p is None or p.shape != () or not p >= 0:
        raise PickleRefused("augment_pipe.p: missing or invalid, allowed: a number of at least 0")
    return float(p)
