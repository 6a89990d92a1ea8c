"""The augmentation pipe that a network pickle of StyleGAN2-ADA may hold: its arguments and its probability."""

from typing import Any

from flaxgan.convert.constructor import Arguments, require_class
from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.pickle_machine import PickleRefused

# Of the reference's AugmentPipe, in the order of its constructor.
DEFAULTS = {
    "xflip": 0,
    "rotate90": 0,
    "xint": 0,
    "xint_max": 0.125,
    "scale": 0,
    "rotate": 0,
    "aniso": 0,
    "xfrac": 0,
    "scale_std": 0.2,
    "rotate_max": 1,
    "aniso_std": 0.2,
    "xfrac_std": 0.125,
    "brightness": 0,
    "contrast": 0,
    "lumaflip": 0,
    "hue": 0,
    "saturation": 0,
    "brightness_std": 0.2,
    "contrast_std": 0.5,
    "hue_max": 1,
    "saturation_std": 1,
    "imgfilter": 0,
    "imgfilter_bands": [1, 1, 1, 1],
    "imgfilter_std": 1,
    "noise": 0,
    "cutout": 0,
    "noise_std": 0.1,
    "cutout_size": 0.5,
}


def augment_options(record: ModuleRecord) -> dict[str, Any]:
    """Strengths and ranges of the augmentations by the reference's names, defaults included.

    Raises:
      PickleRefused: naming the argument, if one is unknown or not a number.
    """
    require_class(record, "AugmentPipe", "augment_pipe")
    arguments = Arguments.of(record, "augment_pipe", DEFAULTS)
    options = {}
    for name, default in DEFAULTS.items():
        kinds = (list, tuple) if isinstance(default, list) else (int, float)
        options[name] = arguments.take(name, default, *kinds)
    arguments.finish()
    bands = options["imgfilter_bands"]
    if len(bands) != 4 or not all(type(band) in (int, float) for band in bands):
        raise PickleRefused("augment_pipe.imgfilter_bands: allowed: four numbers")
    return options | {"imgfilter_bands": tuple(bands)}


def augment_probability(record: ModuleRecord) -> float:
    """The probability p of each augmentation at the time.

    Raises:
      PickleRefused: if the pipe has none.
    """
    p = record.buffers.get("p")
    if p is None or p.shape != () or not p >= 0:
        raise PickleRefused("augment_pipe.p: missing, or not a number of at least 0")
    return float(p)
