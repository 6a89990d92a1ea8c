"""Checks of the arguments of `flaxgan.networks.stylegan2.build`, by group."""

import math
from typing import Any

from flaxgan.networks import _checks as checks
from flaxgan.nn import pyramid
from flaxgan.ops.bias_act import ACTIVATIONS

_MAPPING_FIELDS = {
    "num_layers": "mapping_layers",
    "activation": "mapping_activation",
    "lr_multiplier": "mapping_lr_multiplier",
}


def checked_blocks(
    prefix: str, blocks: dict[str, Any], image_shape: tuple[int, int, int], dtype: str
) -> dict[str, Any]:
    """Checks the settings of the blocks of a network.

    Args:
      prefix: prefix of the names of the fields, "d_" for the discriminator's own.
      blocks: channel_base, channel_max, activation, resample_filter, conv_clamp, low_precision_resolutions.
      image_shape: (H, W, C).
      dtype: compute type of the highest resolutions.

    Returns:
      The settings, with the filter as a tuple and None for an infinite clamp.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    field = {name: {f"{prefix}{name}": value} for name, value in blocks.items()}
    checks.require_integers(1, **field["channel_base"], **field["channel_max"])
    side = min(image_shape[:2])
    allowed = f"at least the shorter side of the image, {side}"
    checks.require(blocks["channel_base"] >= side, f"{prefix}channel_base", blocks["channel_base"], allowed)
    checks.require_one_of(ACTIVATIONS, **field["activation"])
    checks.require_integers(0, **field["low_precision_resolutions"])
    _check_filter(f"{prefix}resample_filter", blocks["resample_filter"])
    clamp = None if blocks["conv_clamp"] == math.inf else blocks["conv_clamp"]
    is_float16 = dtype == "float16" and blocks["low_precision_resolutions"] > 0
    _check_clamp(f"{prefix}conv_clamp", clamp, is_float16=is_float16)
    return {**blocks, "resample_filter": tuple(blocks["resample_filter"]), "conv_clamp": clamp}


def check_mapping(prefix: str, mapping: dict[str, Any], *, min_layers: int) -> None:
    """Checks the settings of a mapping network.

    Args:
      prefix: prefix of the names of the fields, "d_" for the discriminator's own.
      mapping: num_layers, embed_features, layer_features, activation, lr_multiplier.
      min_layers: minimum depth.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    field = {name: {prefix + _MAPPING_FIELDS.get(name, name): value} for name, value in mapping.items()}
    checks.require_integers(min_layers, **field["num_layers"])
    checks.require_optional_integers(1, **field["embed_features"], **field["layer_features"])
    checks.require_one_of(ACTIVATIONS, **field["activation"])
    checks.require_positive(**field["lr_multiplier"])


def check_label_projection(cmap_features: int, mapping: dict[str, Any]) -> None:
    """Checks that a label embedding without subsequent layers has the width of the label projection."""
    fits = mapping["num_layers"] > 0 or mapping["embed_features"] in (None, cmap_features)
    allowed = f"None or {cmap_features}, the width of the label projection, because d_mapping_layers is 0"
    checks.require(fits, "d_embed_features", mapping["embed_features"], allowed)


def check_epilogue(epilogue: dict[str, Any], base_channels: int, num_classes: int) -> None:
    """Checks the settings of the end of the discriminator.

    Args:
      epilogue: epilogue_activation, mbstd_group_size, mbstd_num_channels, mbstd_by_class.
      base_channels: number of channels of the discriminator at the base grid.
      num_classes: number of classes.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    num_channels, by_class = epilogue["mbstd_num_channels"], epilogue["mbstd_by_class"]
    if epilogue["epilogue_activation"] is not None:
        checks.require_one_of(ACTIVATIONS, d_epilogue_activation=epilogue["epilogue_activation"])
    checks.require_optional_integers(1, mbstd_group_size=epilogue["mbstd_group_size"])
    checks.require_integers(0, mbstd_num_channels=num_channels)
    divides = num_channels == 0 or base_channels % num_channels == 0
    allowed = f"0 or a divisor of the {base_channels} channels at the base grid"
    checks.require(divides, "mbstd_num_channels", num_channels, allowed)
    checks.require_booleans(mbstd_by_class=by_class)
    checks.require(not by_class or num_classes > 0, "mbstd_by_class", by_class, "False without classes")


def base_channels(image_shape: tuple[int, int, int], blocks: dict[str, Any]) -> int:
    """Returns the number of channels at the base grid of a network with these blocks."""
    return pyramid.channels(pyramid.base_grid(*image_shape[:2]), blocks["channel_base"], blocks["channel_max"])


def _check_filter(field: str, taps: Any) -> None:
    is_filter = isinstance(taps, tuple | list) and all(isinstance(tap, int | float) for tap in taps)
    usable = is_filter and sum(taps) != 0
    checks.require(usable, field, taps, "a sequence of numbers that do not sum to 0")


def _check_clamp(field: str, clamp: float | None, *, is_float16: bool) -> None:
    if clamp is not None:
        checks.require_positive(**{field: clamp})
    allowed = "a number above 0 (usually 256), because dtype is float16 and its range is small"
    checks.require(clamp is not None or not is_float16, field, clamp, allowed)
