"""PGGAN: progressive growing of convolutional networks with equalized learning rates and pixel norm.

Reference: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation".
"""

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
    """Builds PGGAN's two networks. The defaults are the paper's at 1024x1024.

    Args:
      image_shape: (H, W, C): a small base grid (4x4, 4x6, 5x7, ...) times a power of two, and at least 1 channel.
      num_classes: classes to condition both networks on, the generator by a one-hot vector behind z; 0 is
        unconditional.
      z_dim: width of the latent z.
      channel_base: channels are channel_base // resolution ... (the official code's fmap_base is half of it)
      channel_max: ... but at most this many.
      normalize_latents: whether z is scaled to a mean square of 1 first.
      g_norm: normalization after each layer of the generator: 'pixel', 'local_response' or 'none'.
      lrn_size: local_response: channels of a window; None is all.
      lrn_alpha: local_response: weight of the mean of squares over the window.
      lrn_beta: local_response: exponent.
      lrn_k: local_response: what is added before the exponent.
      g_output: 'linear', or 'tanh' of each resolution's image, as in some ports.
      initializer: 'equalized', He's constant at run time (equalized learning rate), or 'he', at the start only.
      d_labels: 'select', the discriminator has a logit for each class and returns the image's own; 'classify', as the
        official code (AC-GAN), a logit without labels and, beside it, those of the classes; no loss of this project
        trains these, so it is for imported weights.
      pool_after_activation: average pixels after bias and activation (the Theano code) instead of before.
      mbstd_averaging: minibatch standard deviation over the whole batch: 'all', 'group' and a number of channels,
        'channels', 'spatial', 'none', 'gpool' or 'flat'; None is that of groups, the next two fields.
      mbstd_group_size: samples per group; None is the whole batch.
      mbstd_num_channels: channels that it appends; 0 leaves it out.
      mbstd_by_class: group by the batch's classes instead, for variety within them on small sets (not in the papers).
      minibatch_kernels: similarities of minibatch discrimination, appended to the last hidden layer; 0 is off.
      dtype: compute type of the highest resolutions: 'float32', 'bfloat16' or 'float16'.
      low_precision_resolutions: how many of the highest resolutions `dtype` applies to; the rest are float32.
      remat: recompute each block in the backward pass, which takes less memory and more time.

    Returns:
      The Gan, with a stage for each resolution from the base grid to the image's own.

    Raises:
      ValueError: naming the field, the value found and the values allowed.
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
    both = {
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
    stddev = {
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
        image_shape=tuple(image_shape),
        num_classes=num_classes,
        d_layers=discriminator.layers,
        stages=pyramid.grids(*image_shape[:2]),
    )
