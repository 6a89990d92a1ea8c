import dataclasses
import math

import pytest

from flaxgan import augment

BLIT = {"xflip", "rotate90", "xint"}
GEOMETRY = {"scale", "rotate", "aniso", "xfrac"}
COLOR = {"brightness", "contrast", "lumaflip", "hue", "saturation"}
PUBLISHED = {
    "blit": BLIT,
    "geom": GEOMETRY,
    "color": COLOR,
    "filter": {"imgfilter"},
    "noise": {"noise"},
    "cutout": {"cutout"},
    "bg": BLIT | GEOMETRY,
    "bgc": BLIT | GEOMETRY | COLOR,
    "bgcf": BLIT | GEOMETRY | COLOR | {"imgfilter"},
    "bgcfn": BLIT | GEOMETRY | COLOR | {"imgfilter", "noise"},
    "bgcfnc": BLIT | GEOMETRY | COLOR | {"imgfilter", "noise", "cutout"},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_switch_on_what_was_published_and_change_nothing_else(name):
    expected = dataclasses.replace(augment.AugmentSpec(), **dict.fromkeys(PUBLISHED[name], 1))
    assert augment.preset(name) == expected


@pytest.mark.parametrize("name", ["bcg", "", "b", "off", "BGC"])
def test_an_unknown_preset_is_refused_with_the_names_there_are(name):
    with pytest.raises(ValueError, match=f"found '{name}', allowed: {', '.join(PUBLISHED)}$"):
        augment.preset(name)


def test_without_arguments_nothing_is_on_and_ranges_are_the_published_ones():
    ranges = {"xint_max": 0.125, "scale_std": 0.2, "rotate_max": 1, "aniso_std": 0.2, "xfrac_std": 0.125}
    ranges |= {"brightness_std": 0.2, "contrast_std": 0.5, "hue_max": 1, "saturation_std": 1}
    ranges |= {"imgfilter_bands": (1, 1, 1, 1), "imgfilter_std": 1, "noise_std": 0.1, "cutout_size": 0.5}
    assert dataclasses.asdict(augment.AugmentSpec()) == ranges | dict.fromkeys(PUBLISHED["bgcfnc"], 0)


@pytest.mark.parametrize(
    "field, value",
    [("xflip", -1), ("scale_std", math.nan), ("xint_max", math.inf), ("imgfilter_bands", (1, 1, 1, -1))],
)
def test_a_number_that_is_negative_or_not_finite_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}: found .* at least 0"):
        augment.AugmentSpec(**{field: value})


def test_another_number_of_bands_is_refused():
    with pytest.raises(ValueError, match="imgfilter_bands: found .* 4 numbers"):
        augment.AugmentSpec(imgfilter_bands=(1, 1, 1))


def test_bands_from_a_list_make_the_same_hashable_spec():
    assert hash(augment.AugmentSpec(imgfilter_bands=[1, 0, 1, 0])) == hash(
        augment.AugmentSpec(imgfilter_bands=(1, 0, 1, 0))
    )
