"""PGGAN: progressive growing of convolutional networks with equalized learning rates and pixel norm.

References:
  Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation".
"""

from typing import Any

from flaxgan.networks import _checks as checks
from flaxgan.networks import _progressive_fields
from flaxgan.nn import precision, pyramid
from flaxgan.nn.equalized import INITIALIZERS
from flaxgan.nn.pggan_discriminator import LABEL_FORMS, GrowingDiscriminator
from flaxgan.nn.pggan_generator import NORMS, OUTPUTS, GrowingGenerator, PixelNorm
from flaxgan.types import Gan


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 512,
    channel_base: int = 16384,
    channel_max: int = 512,
    normalize_latents: bool = True,
    g_norm: str = "pixel",
    lrn_size: int | None = 5,
    lrn_alpha: float = 1.0,
    lrn_beta: float = 0.5,
    lrn_k: float = 1e-8,
    g_output: str = "linear",
    initializer: str = "equalized",
    d_labels: str = "select",
    pool_after_activation: bool = False,
    mbstd_averaging: str | None = None,
    mbstd_group_size: int | None = 4,
    mbstd_num_channels: int = 1,
    mbstd_by_class: bool = False,
    minibatch_kernels: int = 0,
    dtype: str = "float32",
    low_precision_resolutions: int = 4,
    remat: bool = False,
) -> Gan:
    """Builds the networks of PGGAN. The defaults are those of the paper at 1024x1024.

    The generator is conditioned by a one-hot vector after z. The discriminator has two forms of conditioning
    (d_labels): 'select' has a logit for each class and returns that of the image's class; 'classify' is the form of
    the official code (AC-GAN), with a logit that does not depend on the labels, and class logits. No loss of this
    project trains the class logits: this form is for imported weights.

    The minibatch standard deviation is that of groups, or with mbstd_averaging that of the whole batch in a form of
    `flaxgan.ops.minibatch_stddev.averaged_minibatch_stddev`.

    Args:
      image_shape: (H, W, C); H and W are a small base grid (4x4, 4x6, 5x7, ...) times a power of two.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z.
      channel_base: resolution r has min(channel_base // r, channel_max) channels; twice fmap_base of the official code.
      channel_max: maximum number of channels of a grid.
      normalize_latents: whether to scale z to a mean square of 1.
      g_norm: normalization after each layer of the generator: 'pixel', 'local_response' or 'none'.
      lrn_size: number of channels in a window of local_response; None is all.
      lrn_alpha: weight of the mean of squares over the window of local_response.
      lrn_beta: exponent of local_response.
      lrn_k: term added before the exponent of local_response.
      g_output: 'linear', or 'tanh' of the image of each resolution, as in some ports.
      initializer: 'equalized' applies He's constant at run time (equalized learning rate), 'he' at initialization only.
      d_labels: conditioning of the discriminator: 'select' (a logit for each class) or 'classify' (AC-GAN).
      pool_after_activation: whether to average pixels after bias and activation (the Theano code) instead of before.
      mbstd_averaging: 'all', 'group' and a number, 'channels', 'spatial', 'none', 'gpool', 'flat'; None uses groups.
      mbstd_group_size: group size of the minibatch standard deviation; None is the whole batch.
      mbstd_num_channels: number of channels of the minibatch standard deviation; 0 disables it.
      mbstd_by_class: whether to group by class, for variety within classes of small datasets (not in the papers).
      minibatch_kernels: number of similarities of minibatch discrimination in the last hidden layer; 0 disables it.
      dtype: compute type of the highest resolutions: 'float32', 'bfloat16' or 'float16'.
      low_precision_resolutions: number of highest resolutions that use `dtype`; the others use float32.
      remat: whether to recompute each block in the backward pass, which takes less memory and more time.

    Returns:
      The Gan, with a stage for each resolution from the base grid to the image's own.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    checks.require_integers(1, z_dim=z_dim)
    checks.require_integers(0, minibatch_kernels=minibatch_kernels)
    checks.require_optional_integers(1, lrn_size=lrn_size)
    checks.require_positive(lrn_alpha=lrn_alpha, lrn_beta=lrn_beta, lrn_k=lrn_k)
    checks.require_booleans(
        normalize_latents=normalize_latents, pool_after_activation=pool_after_activation, remat=remat
    )
    checks.require_one_of(NORMS, g_norm=g_norm)
    checks.require_one_of(OUTPUTS, g_output=g_output)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    checks.require_one_of(LABEL_FORMS, d_labels=d_labels)
    checks.require_one_of(precision.DTYPES, dtype=dtype)
    checks.require(d_labels == "select" or num_classes > 0, "d_labels", d_labels, "'select' without classes")
    both: dict[str, Any] = {
        "image_shape": tuple(image_shape),
        "num_classes": num_classes,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "initializer": initializer,
        "dtype": dtype,
        "low_precision_resolutions": low_precision_resolutions,
        "remat": remat,
    }
    _progressive_fields.check_pyramid(**both)
    stddev: dict[str, Any] = {
        "mbstd_averaging": mbstd_averaging,
        "mbstd_group_size": mbstd_group_size,
        "mbstd_num_channels": mbstd_num_channels,
        "mbstd_by_class": mbstd_by_class,
    }
    _progressive_fields.check_stddev(_progressive_fields.base_channels(**both), num_classes, **stddev)
    is_local = g_norm == "local_response"
    norm = PixelNorm("local_response", lrn_size, lrn_alpha, lrn_beta, lrn_k) if is_local else PixelNorm(g_norm)
    discriminator = GrowingDiscriminator(
        label_form=d_labels,
        pool_after_activation=pool_after_activation,
        minibatch_kernels=minibatch_kernels,
        **stddev,
        **both,
    )
    return Gan(
        generator=GrowingGenerator(norm=norm, normalize_latents=normalize_latents, output=g_output, **both),
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=checks.shape_of(image_shape),
        num_classes=num_classes,
        d_layers=discriminator.layers,
        stages=pyramid.grids(*image_shape[:2]),
    )
