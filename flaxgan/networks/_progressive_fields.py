"""Checks of `build` arguments that progressively growing families share."""

from typing import Any

from flaxgan.networks import _checks as checks
from flaxgan.nn import pyramid

_AVERAGINGS = ("all", "channels", "spatial", "none", "gpool", "flat")


def check_pyramid(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    channel_base: int,
    channel_max: int,
    low_precision_resolutions: int,
    **others: Any,
) -> None:
    """Checks the image shape and the channels of the networks; other fields are ignored.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    del others
    pyramid.require_buildable(image_shape)
    checks.require_integers(0, num_classes=num_classes, low_precision_resolutions=low_precision_resolutions)
    checks.require_integers(1, channel_base=channel_base, channel_max=channel_max)
    side = min(image_shape[:2])
    checks.require(channel_base >= side, "channel_base", channel_base, f"at least the image's shorter side, {side}")


def checked_filter(taps: Any) -> tuple[float, ...] | None:
    """Returns blur_filter as a tuple.

    Raises:
      FieldError: if it is neither None nor an odd number of numbers that do not sum to 0.
    """
    if taps is None:
        return None
    is_filter = isinstance(taps, tuple | list) and all(isinstance(tap, int | float) for tap in taps)
    usable = is_filter and len(taps) % 2 == 1 and sum(taps) != 0
    checks.require(usable, "blur_filter", taps, "None, or an odd number of numbers that do not sum to 0")
    return tuple(taps)


def check_stddev(
    channels: int,
    num_classes: int,
    *,
    mbstd_averaging: str | None,
    mbstd_group_size: int | None,
    mbstd_num_channels: int,
    mbstd_by_class: bool,
) -> None:
    """Checks the fields of the minibatch standard deviation.

    Args:
      channels: number of channels of its input features.
      num_classes: number of classes of the discriminator.
      mbstd_averaging: the field of this name.
      mbstd_group_size: the field of this name.
      mbstd_num_channels: the field of this name.
      mbstd_by_class: the field of this name.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    checks.require_optional_integers(1, mbstd_group_size=mbstd_group_size)
    checks.require_integers(0, mbstd_num_channels=mbstd_num_channels)
    divides = mbstd_num_channels == 0 or channels % mbstd_num_channels == 0
    allowed = f"0 or a divisor of the {channels} channels at the base grid"
    checks.require(divides, "mbstd_num_channels", mbstd_num_channels, allowed)
    checks.require_booleans(mbstd_by_class=mbstd_by_class)
    fits = not mbstd_by_class or (num_classes > 0 and mbstd_averaging is None)
    checks.require(fits, "mbstd_by_class", mbstd_by_class, "False without classes, or with mbstd_averaging")
    if mbstd_averaging is None or mbstd_averaging in _AVERAGINGS:
        return
    number = str(mbstd_averaging).removeprefix("group")
    is_group = str(mbstd_averaging).startswith("group") and number.isdecimal() and int(number) > 0
    allowed = f"None, {', '.join(_AVERAGINGS)}, or 'group' and a divisor of {channels}"
    checks.require(is_group and channels % int(number) == 0, "mbstd_averaging", mbstd_averaging, allowed)


def base_channels(*, image_shape: tuple[int, int, int], channel_base: int, channel_max: int, **others: Any) -> int:
    """Returns the number of channels at the base grid; other fields are ignored."""
    del others
    return pyramid.channels(pyramid.base_grid(*image_shape[:2]), channel_base, channel_max)
