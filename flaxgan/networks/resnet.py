"""ResNet GAN, of residual blocks with upsampling and average pooling: SNGAN, and projection cGAN with classes.

References:
  Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (SNGAN), appendix B.4; Miyato and
  Koyama 2018, "cGANs with Projection Discriminator", appendix A.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.networks import _checks as checks
from flaxgan.networks import _classic_fields as fields
from flaxgan.nn.layers import Conv, Dense, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.precision import at_least_float32
from flaxgan.nn.projection import ProjectionHead
from flaxgan.nn.residual import INITIALIZERS, DiscriminatorBlock, GeneratorBlock, kernel_init
from flaxgan.ops.upsampling import UPSAMPLINGS
from flaxgan.types import DiscriminatorOutput, Gan

POOLINGS = ("sum", "mean")


class Generator(nn.Module):
    """A dense layer, residual blocks that double the grid, norm, ReLU, 3x3 convolution, tanh.

    Submodules: base, block1 ... block{n}, norm, output; latent, for self-modulation with classes.

    Attributes:
      image_shape: (H, W, C).
      channels: channels of the base grid, then of each block.
      norm: the normalization; the last one ignores classes if that of the blocks is "conditional".
      upsampling: see `GeneratorBlock`.
      shortcut_kernel: see `GeneratorBlock`.
      residual_scale: see `GeneratorBlock`.
      spectral: spectral normalization of all convolutions and the dense layer; None disables it.
      initializer: see `GeneratorBlock`.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    norm: NormConfig = NormConfig()
    upsampling: str = "nearest"
    shortcut_kernel: int = 1
    residual_scale: float = 1.0
    spectral: SpectralNorm | None = None
    initializer: str = "xavier"
    dtype: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Generates images.

        Args:
          z: latents [N, Z], N(0, I).
          labels: int32 [N] or float [N, K]; ignored without classes.
          train: whether to use the statistics of the batch; "batch_stats" and "spectral" must then be mutable.

        Returns:
          Images [N, H, W, C] in [-1, 1], float32, or float64 if z is.
        """
        first, *others = self.channels
        height, width = (size // 2 ** len(others) for size in self.image_shape[:2])
        init = kernel_init(self.initializer)
        layer: dict[str, Any] = {"spectral": self.spectral, "kernel_init": init, "dtype": self.dtype}
        condition = self.norm.condition(z, labels)
        x = Dense(height * width * first, **layer, name="base")(z, train=train)
        x = x.reshape(-1, height, width, first)
        for index, features in enumerate(others, start=1):
            block = GeneratorBlock(
                features,
                norm=self.norm,
                upsampling=self.upsampling,
                shortcut_kernel=self.shortcut_kernel,
                residual_scale=self.residual_scale,
                spectral=self.spectral,
                initializer=self.initializer,
                dtype=self.dtype,
                name=f"block{index}",
            )
            x = block(x, condition, train=train)  # [N, 2 H, 2 W, O]
        x = nn.relu(self.norm.without_classes().layer("norm")(x, condition, train=train))
        x = Conv(self.image_shape[2], **layer, name="output")(x, train=train)
        return jnp.tanh(at_least_float32(x))


class Discriminator(nn.Module):
    """Residual blocks, the first of which halve the grid, ReLU, pooling over all pixels, linear layer or projection.

    Submodules: block1 ... block{n}, head.

    Attributes:
      image_shape: (H, W, C).
      channels: channels of each block.
      downsamples: number of first blocks that halve the grid.
      num_classes: number of classes of the projection; 0 has none, and labels are then ignored.
      pooling: "sum" or "mean" over all pixels.
      head_bias: whether the last layer has a bias.
      wide: True widens blocks in their first convolution (compare_gan), False in their second (SNGAN).
      activated_input: whether the first block also begins with norm and ReLU, applied to the image (compare_gan).
      activated_shortcut: see `DiscriminatorBlock`.
      norm: see `DiscriminatorBlock`.
      shortcut_kernel: see `DiscriminatorBlock`.
      residual_scale: see `DiscriminatorBlock`.
      spectral: spectral normalization of all kernels; None disables it.
      initializer: see `DiscriminatorBlock`.
      dtype: compute type of the blocks; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    downsamples: int
    num_classes: int = 0
    pooling: str = "sum"
    head_bias: bool = True
    wide: bool = False
    activated_input: bool = False
    activated_shortcut: bool = False
    norm: NormConfig = NormConfig("none")
    shortcut_kernel: int = 1
    residual_scale: float = 1.0
    spectral: SpectralNorm | None = None
    initializer: str = "xavier"
    dtype: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, *, train: bool = False
    ) -> DiscriminatorOutput:
        """Scores images [N, H, W, C] with labels int32 [N] or float [N, K]; train as in `Generator`.

        Raises:
          FieldError: if the images have another shape.
        """
        fields.require_images(images, self.image_shape)
        x = images
        for index, channels in enumerate(self.channels):
            is_first = index == 0
            block = DiscriminatorBlock(
                channels,
                hidden_features=channels if self.wide or is_first else x.shape[-1],
                downsample=index < self.downsamples,
                activates_input=self.activated_input or not is_first,
                activated_shortcut=self.activated_shortcut,
                norm=self.norm,
                shortcut_kernel=self.shortcut_kernel,
                residual_scale=self.residual_scale,
                spectral=self.spectral,
                initializer=self.initializer,
                dtype=self.dtype,
                name=f"block{index + 1}",
            )
            x = block(x, train=train)
        x = nn.relu(at_least_float32(x))
        features = jnp.sum(x, axis=(1, 2)) if self.pooling == "sum" else jnp.mean(x, axis=(1, 2))  # [N, F]
        init = kernel_init(self.initializer)
        head = ProjectionHead(
            self.num_classes,
            self.head_bias,
            spectral=self.spectral,
            kernel_init=init,
            embedding_init=init,
            name="head",
        )
        return DiscriminatorOutput(head(features, labels, train=train), features)

    @property
    def layers(self) -> tuple[str, ...]:
        """Parameter paths of the layers that freeze-D can freeze, those of the blocks from the image on."""
        inputs = (self.image_shape[2], *self.channels)
        paths: list[str] = []
        for index, features in enumerate(self.channels):
            changes = index < self.downsamples or inputs[index] != features or self.shortcut_kernel > 1
            paths += [f"block{index + 1}/{name}" for name in ("conv1", "conv2", *(("shortcut",) if changes else ()))]
        return tuple(paths)


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 128,
    g_channels: int = 64,
    g_channels_max: int = 1024,
    g_levels: int | None = None,
    g_norm: str | None = None,
    g_spectral: bool = False,
    upsampling: str = "nearest",
    d_channels: int = 64,
    d_channels_max: int = 1024,
    d_levels: int | None = None,
    d_flat_blocks: int = 1,
    d_wide: bool = False,
    d_norm: str = "none",
    d_spectral: bool = True,
    d_activated_input: bool = False,
    d_activated_shortcut: bool = False,
    d_head_bias: bool = True,
    projection: bool | None = None,
    pooling: str = "sum",
    shortcut_kernel: int = 1,
    residual_scale: float = 1.0,
    initializer: str = "xavier",
    spectral_eps: float = 1e-12,
    spectral_from_input: bool = False,
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
    norm_unbiased: bool = True,
    norm_gain_stddev: float | None = None,
    hidden: int | None = 32,
    dtype: str = "float32",
) -> Gan:
    """Builds the networks of a ResNet GAN. The defaults are SNGAN at 64x64 and 128x128; with classes, projection cGAN.

    The generator has g_channels in its last block, doubled at each halving of the grid; the discriminator has
    d_channels in its first block, doubled in each next block; both up to their maximum. With shortcut_kernel 1 there is
    no convolution on a shortcut where a block changes neither channels nor size. d_activated_shortcut is for weights
    from libraries in which a ReLU overwrites the input of a block.

    Args:
      image_shape: (H, W, C), with sides that can be halved g_levels and d_levels times.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z.
      g_channels: channels of the last block of the generator, doubled at each halving of the grid.
      g_channels_max: maximum number of channels of the generator.
      g_levels: number of blocks of the generator, each of which doubles the grid; None begins at about 4x4.
      g_norm: one of flaxgan.nn.generator_norm.NORMS; None is 'conditional' with classes, else 'batch'.
      g_spectral: whether the generator is spectrally normalized.
      upsampling: 'nearest', 'bilinear' or 'zeros' (zeros between the pixels).
      d_channels: channels of the first block of the discriminator, doubled in each next block.
      d_channels_max: maximum number of channels of the discriminator.
      d_levels: number of blocks of the discriminator that halve the grid; None ends at about 4x4.
      d_flat_blocks: number of subsequent blocks of the discriminator, which keep the grid.
      d_wide: whether blocks of the discriminator widen in their first convolution instead of the second.
      d_norm: normalization of the discriminator: 'none', 'batch', 'layer' or 'instance'.
      d_spectral: whether the discriminator is spectrally normalized.
      d_activated_input: whether the first block of the discriminator also begins with a ReLU.
      d_activated_shortcut: whether shortcuts of the discriminator take the input of their block after the ReLU.
      d_head_bias: whether the last layer of the discriminator has a bias.
      projection: whether the discriminator projects features on the class embedding; None does with classes.
      pooling: 'sum' or 'mean' over all pixels before the last layer of the discriminator.
      shortcut_kernel: side of the kernels of the shortcuts: 1, or 3 as in compare_gan.
      residual_scale: alpha in x + alpha f(x).
      initializer: initializer of the kernels, one of flaxgan.nn.residual.INITIALIZERS.
      spectral_eps: least length by which spectral normalization divides a vector.
      spectral_from_input: True starts the power iteration from the right singular vector, False from the left.
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
    g_levels = fields.checked_levels("g_levels", g_levels, image_shape)
    d_levels = fields.checked_levels("d_levels", d_levels, image_shape)
    checks.require_integers(1, z_dim=z_dim, g_channels=g_channels, g_channels_max=g_channels_max)
    checks.require_integers(1, d_channels=d_channels, d_channels_max=d_channels_max)
    checks.require_integers(0, d_flat_blocks=d_flat_blocks)
    checks.require_booleans(d_wide=d_wide, d_activated_input=d_activated_input, d_head_bias=d_head_bias)
    checks.require_booleans(d_activated_shortcut=d_activated_shortcut)
    checks.require_one_of(UPSAMPLINGS, upsampling=upsampling)
    checks.require_one_of(POOLINGS, pooling=pooling)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    checks.require_one_of(fields.D_NORMS, d_norm=d_norm)
    checks.require_odd(shortcut_kernel=shortcut_kernel)
    finite = isinstance(residual_scale, int | float) and math.isfinite(residual_scale) and residual_scale != 0
    checks.require(finite, "residual_scale", residual_scale, "a finite number other than 0")
    if d_activated_shortcut:
        checks.require(d_norm == "none", "d_norm", d_norm, "none with d_activated_shortcut")
    spectral = fields.checked_spectral(spectral_eps, spectral_from_input, g_spectral=g_spectral, d_spectral=d_spectral)
    statistics: dict[str, Any] = {
        "eps": norm_eps,
        "momentum": norm_momentum,
        "unbiased": norm_unbiased,
        "gain_stddev": norm_gain_stddev,
    }
    modulation: dict[str, Any] = {
        "hidden": hidden,
        "spectral": spectral["g_spectral"],
        "kernel_init": kernel_init(initializer),
    }
    norm = fields.checked_norm(g_norm, num_classes, **statistics, **modulation)
    image_shape = checks.shape_of(image_shape)
    both: dict[str, Any] = {
        "image_shape": image_shape,
        "shortcut_kernel": shortcut_kernel,
        "residual_scale": residual_scale,
        "initializer": initializer,
        "dtype": fields.compute_dtype(dtype),
    }
    generator = Generator(
        channels=fields.doubling(g_channels, g_channels_max, g_levels + 1)[::-1],
        norm=norm,
        upsampling=upsampling,
        spectral=spectral["g_spectral"],
        **both,
    )
    discriminator = Discriminator(
        channels=fields.doubling(d_channels, d_channels_max, d_levels + d_flat_blocks),
        downsamples=d_levels,
        num_classes=fields.checked_projection(projection, num_classes),
        pooling=pooling,
        head_bias=d_head_bias,
        wide=d_wide,
        activated_input=d_activated_input,
        activated_shortcut=d_activated_shortcut,
        norm=NormConfig(d_norm, **statistics),
        spectral=spectral["d_spectral"],
        **both,
    )
    return Gan(
        generator=generator,
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=image_shape,
        num_classes=num_classes,
        d_layers=discriminator.layers,
    )
