"""SAGAN, a ResNet GAN with a self-attention layer and spectral normalization in both networks.

References:
  Zhang et al. 2019, "Self-Attention Generative Adversarial Networks".
"""

from typing import Any

import jax
from flax import linen as nn

from flaxgan.networks import _biggan_plan
from flaxgan.networks import _checks as checks
from flaxgan.networks import _classic_fields as fields
from flaxgan.nn import pyramid
from flaxgan.nn.biggan_networks import Discriminator, GeneratorBody
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.residual import INITIALIZERS, kernel_init
from flaxgan.ops.upsampling import UPSAMPLINGS
from flaxgan.types import Gan

_ATTENTION_PX = 32


class Generator(nn.Module):
    """Maps latents and classes to images; every norm has the same condition: the class, z, or none.

    Submodules: body; latent, for self-modulation with classes.

    Attributes:
      body: network from latents and conditions to images; its norm is a `NormConfig`.
    """

    body: GeneratorBody

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Generates images.

        Args:
          z: latents [N, Z], N(0, I).
          labels: int32 [N] or float [N, K]; ignored without classes.
          train: whether to use the statistics of the batch; "batch_stats" and "spectral" must then be mutable.

        Returns:
          Images [N, H, W, C] in [-1, 1], float32, or float64 if z is.

        Raises:
          FieldError: if there are classes, and labels are missing.
        """
        num_blocks = len(self.body.channels) - 1
        norm: Any = self.body.norm
        return self.body(z, [norm.condition(z, labels)] * num_blocks, train=train)


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
    norm_gain_stddev: float | None = None,
    hidden: int | None = 32,
    dtype: str = "float32",
) -> Gan:
    """Builds the networks of SAGAN. The defaults are those at 128x128.

    The generator's channels are g_channels * g_multipliers, from the base grid on; the discriminator's channels are
    d_channels * d_multipliers, for each block. None takes the published multipliers, or BigGAN's at other sizes.
    Self-attention follows the first block of a resolution. d_activated_shortcut is for weights from libraries in which
    a ReLU overwrites the input of a block.

    Args:
      image_shape: (H, W, C); H and W are a small base grid (4x4, 4x6, 5x7, ...) times a power of two.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z.
      g_channels: width of the generator, of which the channels are multiples.
      g_multipliers: multiples of g_channels for each grid, the base grid first; None takes the published ones.
      g_attention_px: resolutions of self-attention in the generator; None is 32, at most half of the image's.
      g_norm: one of flaxgan.nn.generator_norm.NORMS; None is 'conditional' with classes, else 'batch'.
      g_spectral: whether the generator is spectrally normalized.
      upsampling: 'nearest', 'bilinear' or 'zeros' (zeros between the pixels).
      d_channels: width of the discriminator, of which the channels are multiples.
      d_multipliers: multiples of d_channels for each block; None takes the published ones.
      d_attention_px: resolutions of self-attention in the discriminator; None is 32, at most half of the image's.
      d_wide: whether blocks of the discriminator widen in their first convolution instead of the second.
      d_activated_shortcut: whether shortcuts of the discriminator take the input of their block after the ReLU.
      d_spectral: whether the discriminator is spectrally normalized.
      projection: whether the discriminator projects features on the class embedding; None does with classes.
      initializer: initializer of the kernels, one of flaxgan.nn.residual.INITIALIZERS.
      spectral_eps: least length by which spectral normalization divides a vector.
      norm_eps: epsilon added to variances.
      norm_momentum: weight of the new batch in running statistics.
      norm_unbiased: whether running variances are unbiased.
      norm_gain_stddev: standard deviation of initial gains about 1; None is 0.02 with 'conditional', else 0.
      hidden: width of the hidden layers of self-modulation; None has no hidden layers.
      dtype: compute type of the layers: 'float32' or 'bfloat16'.

    Returns:
      The Gan.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    pyramid.require_buildable(image_shape)
    checks.require_integers(1, z_dim=z_dim, g_channels=g_channels, d_channels=d_channels)
    checks.require_booleans(d_wide=d_wide, d_activated_shortcut=d_activated_shortcut)
    checks.require_booleans(g_spectral=g_spectral, d_spectral=d_spectral)
    checks.require_positive(spectral_eps=spectral_eps)
    checks.require_one_of(UPSAMPLINGS, upsampling=upsampling)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    image_shape = checks.shape_of(image_shape)
    g_normalization, d_normalization = (SpectralNorm(spectral_eps) if on else None for on in (g_spectral, d_spectral))
    statistics: dict[str, Any] = {
        "eps": norm_eps,
        "momentum": norm_momentum,
        "unbiased": norm_unbiased,
        "gain_stddev": norm_gain_stddev,
    }
    modulation: dict[str, Any] = {
        "hidden": hidden,
        "spectral": g_normalization,
        "kernel_init": kernel_init(initializer),
    }
    norm = fields.checked_norm(g_norm, num_classes, **statistics, **modulation)
    default_px = min(_ATTENTION_PX, pyramid.resolution(image_shape[:2]) // 2)
    both: dict[str, Any] = {"initializer": initializer, "dtype": fields.compute_dtype(dtype)}
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
