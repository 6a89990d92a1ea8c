"""SAGAN: a ResNet GAN with a layer of self-attention and spectral normalization in both networks.

Reference: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks".
"""

import jax
from flax import linen as nn

from flaxgan.networks import _biggan_plan
from flaxgan.networks import _checks as checks
from flaxgan.networks import _classic_fields as fields
from flaxgan.nn import pyramid
from flaxgan.nn.biggan_networks import Discriminator, GeneratorBody
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.residual import INITIALIZERS
from flaxgan.ops.upsampling import UPSAMPLINGS
from flaxgan.types import Gan

_ATTENTION_PX = 32


class Generator(nn.Module):
    """Latents and classes to images: every norm depends on the same, on the class, on z, or on nothing.

    Submodules: body; latent, for self-modulation with classes.

    Attributes:
      body: what makes images of latents and conditions; its norm is a `NormConfig`.
    """

    body: GeneratorBody

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Generates images.

        Args:
          z: latents [N, Z], N(0, I).
          labels: int32 [N] or float [N, K]; ignored without classes.
          train: whether statistics are the batch's; "batch_stats" and "spectral" must then be mutable.

        Returns:
          Images [N, H, W, C] in [-1, 1], float32, or float64 if z is.

        Raises:
          ValueError: if there are classes, but no labels.
        """
        num_blocks = len(self.body.channels) - 1
        return self.body(z, [self.body.norm.condition(z, labels)] * num_blocks, train=train)


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 128,
    g_channels: int = 64,
    g_multipliers: tuple[int, ...] | None = None,
    g_attention_px: tuple[int, ...] | None = None,
    g_norm: str | None = None,
    g_spectral: bool = True,
    upsampling: str = "nearest",
    d_channels: int = 64,
    d_multipliers: tuple[int, ...] | None = None,
    d_attention_px: tuple[int, ...] | None = None,
    d_wide: bool = False,
    d_activated_shortcut: bool = False,
    d_spectral: bool = True,
    projection: bool | None = None,
    initializer: str = "xavier",
    spectral_eps: float = 1e-12,
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
    norm_unbiased: bool = True,
    hidden: int | None = 32,
    dtype: str = "float32",
) -> Gan:
    """Builds the two networks. The defaults are those at 128x128.

    Args:
      image_shape: (H, W, C): a small base grid (4x4, 4x6, 5x7, ...) times a power of two, and at least 1 channel.
      num_classes: classes to condition both networks on; 0 is unconditional.
      z_dim: width of the latent z.
      g_channels: the generator's width ...
      g_multipliers: ... times these are its channels at each grid, the base grid first; None is as published, or as
        BigGAN's.
      g_attention_px: resolutions at which self-attention follows its blocks; None is 32, or half the image's.
      g_norm: 'batch', 'conditional', 'self_modulated', 'layer', 'instance' or 'none'; None is 'conditional' with
        classes, else 'batch'.
      g_spectral: spectral normalization of the generator.
      upsampling: 'nearest', 'bilinear' or 'zeros', zeros between the pixels.
      d_channels: the discriminator's width ...
      d_multipliers: ... times these are the channels of its blocks, of which the first ones halve the grid; None is as
        published, or as BigGAN's.
      d_attention_px: resolutions after whose first block there is self-attention; None is 32, or half the image's.
      d_wide: whether its blocks widen in the first of their two convolutions instead of the second.
      d_activated_shortcut: whether the shortcuts of its blocks see the block's input after the ReLU, as in libraries
        whose ReLU overwrites its input: for weights from there.
      d_spectral: spectral normalization of the discriminator.
      projection: whether the discriminator compares features and classes; None is with classes.
      initializer: that of the kernels: 'xavier', 'normal' (0.02) or 'orthogonal'.
      spectral_eps: least length that spectral normalization divides a vector by.
      norm_eps: added to variances.
      norm_momentum: share of the new batch in running statistics.
      norm_unbiased: whether running variances are unbiased.
      hidden: width of the hidden layers of self-modulation; None is none.
      dtype: compute type of the layers: 'float32' or 'bfloat16'.

    Returns:
      The Gan.

    Raises:
      ValueError: naming the field, the value found and the values allowed.
    """
    pyramid.require_buildable(image_shape)
    checks.require_integers(1, z_dim=z_dim, g_channels=g_channels, d_channels=d_channels)
    checks.require_booleans(d_wide=d_wide, d_activated_shortcut=d_activated_shortcut)
    checks.require_booleans(g_spectral=g_spectral, d_spectral=d_spectral)
    checks.require_positive(spectral_eps=spectral_eps)
    checks.require_one_of(UPSAMPLINGS, upsampling=upsampling)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    image_shape = tuple(image_shape)
    g_normalization, d_normalization = (SpectralNorm(spectral_eps) if on else None for on in (g_spectral, d_spectral))
    statistics = {"eps": norm_eps, "momentum": norm_momentum, "unbiased": norm_unbiased}
    norm = fields.checked_norm(g_norm, num_classes, **statistics, hidden=hidden, spectral=g_normalization)
    default_px = min(_ATTENTION_PX, pyramid.resolution(image_shape[:2]) // 2)
    both = {"initializer": initializer, "dtype": fields.compute_dtype(dtype)}
    g_outputs = _biggan_plan.generator_outputs(image_shape)
    body = GeneratorBody(
        image_shape,
        _biggan_plan.generator_channels(image_shape, g_channels, g_multipliers),
        norm,
        _biggan_plan.attention_blocks(g_outputs, default_px=default_px, only_first=True, g_attention_px=g_attention_px),
        upsampling,
        spectral=g_normalization,
        **both,
    )
    d_widths = _biggan_plan.discriminator_channels(image_shape, d_channels, d_multipliers)
    d_outputs = _biggan_plan.discriminator_outputs(image_shape, len(d_widths))
    discriminator = Discriminator(
        image_shape,
        d_widths,
        _biggan_plan.downsamples(image_shape),
        fields.checked_projection(projection, num_classes),
        _biggan_plan.attention_blocks(d_outputs, default_px=default_px, only_first=True, d_attention_px=d_attention_px),
        hidden_channels=None if d_wide else (d_widths[0], *d_widths[:-1]),
        activated_shortcut=d_activated_shortcut,
        spectral=d_normalization,
        **both,
    )
    return Gan(
        generator=Generator(body),
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=image_shape,
        num_classes=num_classes,
        d_layers=discriminator.layers,
    )
