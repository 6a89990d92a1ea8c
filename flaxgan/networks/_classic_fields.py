"""Checks of `build` arguments that families without styles share: grids, channels, normalization, labels."""

import jax

from flaxgan.errors import FieldError, Words
from flaxgan.networks import _checks as checks
from flaxgan.nn.generator_norm import NORMS
from flaxgan.nn.layers import XAVIER, Initializer, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.pyramid import base_grid

DTYPES = ("float32", "bfloat16")
D_NORMS = ("none", "batch", "layer", "instance")
OF_CLASSES = ("conditional", "self_modulated")


def checked_levels(field: str, levels: int | None, image_shape: tuple[int, int, int]) -> int:
    """Returns the number of times that a network halves or doubles the sides of the image.

    Args:
      field: name of the field.
      levels: its value; None stops before the shorter side falls below 4 pixels.
      image_shape: (H, W, C).

    Raises:
      FieldError: if image_shape is not an image shape, or its sides cannot be halved `levels` times.
    """
    is_shape = len(image_shape) == 3 and all(isinstance(size, int) and size >= 1 for size in image_shape)
    checks.require(is_shape, "image_shape", image_shape, "(height, width, channels), all at least 1")
    height, width, _ = image_shape
    checks.require_optional_integers(1, **{field: levels})
    if levels is None:
        base = base_grid(height, width)
        levels = (height // base[0]).bit_length() - 1
        allowed = "sides of at least 8 pixels that are both even, such as 64x64 or 40x56"
        checks.require(levels >= 1, "image_shape", image_shape, allowed)
    fits = height % 2**levels == 0 and width % 2**levels == 0
    checks.require(fits, field, levels, f"a number of halvings that divide both sides of {height}x{width} pixels")
    return levels


def doubling(first: int, most: int, count: int) -> tuple[int, ...]:
    """Returns the channels at `count` grids of halving size: first, 2 first, 4 first, ..., at most `most`."""
    return tuple(min(first * 2**level, most) for level in range(count))


def checked_norm(
    g_norm: str | None,
    num_classes: int,
    *,
    eps: float,
    momentum: float,
    unbiased: bool,
    gain_stddev: float | None = None,
    hidden: int | None = 32,
    spectral: SpectralNorm | None = None,
    kernel_init: Initializer = XAVIER,
) -> NormConfig:
    """Checks and builds the normalization of the generator.

    Args:
      g_norm: the field g_norm; None is "conditional" with classes, else "batch".
      num_classes: the field num_classes.
      eps: the field norm_eps.
      momentum: the field norm_momentum.
      unbiased: the field norm_unbiased.
      gain_stddev: the field norm_gain_stddev.
      hidden: the field hidden.
      spectral: spectral normalization of the kernels of "self_modulated".
      kernel_init: initializer of these kernels.

    Raises:
      FieldError: on another kind, or a kind that is not allowed with this number of classes.
    """
    checks.require_integers(0, num_classes=num_classes)
    checks.require_optional_integers(1, hidden=hidden)
    checks.require_positive(norm_eps=eps)
    checks.require_shares(norm_momentum=momentum)
    checks.require_booleans(norm_unbiased=unbiased)
    if gain_stddev is not None:
        checks.require_shares(norm_gain_stddev=gain_stddev)
    if g_norm is None:
        g_norm = "conditional" if num_classes else "batch"
    checks.require_one_of(NORMS, g_norm=g_norm)
    if num_classes:
        checks.require(g_norm in OF_CLASSES, "g_norm", g_norm, f"{', '.join(OF_CLASSES)} with labels")
    else:
        checks.require(g_norm != "conditional", "g_norm", g_norm, "another one without labels (data.num_classes is 0)")
    return NormConfig(
        g_norm,
        num_classes,
        eps,
        momentum,
        hidden,
        spectral,
        unbiased,
        gain_stddev=gain_stddev,
        kernel_init=kernel_init,
    )


def checked_projection(projection: bool | None, num_classes: int) -> int:
    """Returns the number of classes of the projection in the discriminator's head; None projects with classes.

    Raises:
      FieldError: on projection without labels.
    """
    if projection is None:
        return num_classes
    checks.require_booleans(projection=projection)
    allowed = "False or None without labels (data.num_classes is 0)"
    checks.require(num_classes > 0 or not projection, "projection", projection, allowed)
    return num_classes if projection else 0


def checked_spectral(eps: float, from_input: bool, **enabled: bool) -> dict[str, SpectralNorm | None]:
    """Returns the spectral normalization of each field that is True, and None for the others.

    Raises:
      FieldError: if a field is not a boolean, or eps is not above 0.
    """
    checks.require_booleans(spectral_from_input=from_input, **enabled)
    checks.require_positive(spectral_eps=eps)
    return {field: SpectralNorm(eps=eps, from_input=from_input) if on else None for field, on in enabled.items()}


def compute_dtype(dtype: str) -> str | None:
    """Returns the compute type of the layers; float32 gives None, the promoted type of inputs and parameters.

    Raises:
      FieldError: on a type that is not in DTYPES.
    """
    checks.require_one_of(DTYPES, dtype=dtype)
    return None if dtype == "float32" else dtype


def require_images(images: jax.Array, image_shape: tuple[int, int, int]) -> None:
    """Raises FieldError unless the images have the shape for which a network was built."""
    if images.ndim != 4 or images.shape[1:] != tuple(image_shape):
        allowed = ", ".join(map(str, image_shape))
        raise FieldError("images", Words(f"shape {images.shape}"), f"[N, {allowed}]")
