"""DCGAN, of strided and transposed convolutions, and SNDCGAN, with 3x3 convolutions between them.

References:
  Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks"
  (DCGAN), section 3 and figure 1; Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
  appendix B.4, table 3 (SNDCGAN). The numbers are those of the DCGAN example of PyTorch.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.networks import _checks as checks
from flaxgan.networks import _classic_fields as fields
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Conv, ConvTranspose, Dense, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.precision import at_least_float32
from flaxgan.nn.projection import ProjectionHead
from flaxgan.types import DiscriminatorOutput, Gan

ARCHITECTURES = ("dcgan", "sndcgan")
POOLINGS = ("flatten", "sum", "mean")

_INIT = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """A dense layer (a transposed convolution of one pixel), transposed convolutions of stride 2, tanh.

    Norm and ReLU follow each layer but the last. Submodules: base, norm0, deconv1, norm1, ..., output; latent, for
    self-modulation with classes.

    Attributes:
      image_shape: (H, W, C).
      channels: channels of the base grid, then of each transposed convolution except the one that outputs the image.
      architecture: "dcgan" outputs the image by a transposed convolution, "sndcgan" by a 3x3 convolution after it.
      kernel_size: side of the kernels of the transposed convolutions, 4 or 5.
      use_bias: whether the layers have biases.
      base_norm: whether norm and ReLU follow the dense layer.
      norm: the normalization.
      spectral: spectral normalization of all kernels; None disables it.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    architecture: str = "dcgan"
    kernel_size: int = 4
    use_bias: bool = False
    base_norm: bool = True
    norm: NormConfig = NormConfig()
    spectral: SpectralNorm | None = None
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
        levels = len(others) + (self.architecture == "dcgan")
        height, width = (size // 2**levels for size in self.image_shape[:2])
        layer: dict[str, Any] = {
            "use_bias": self.use_bias,
            "spectral": self.spectral,
            "kernel_init": _INIT,
            "dtype": self.dtype,
        }
        condition = self.norm.condition(z, labels)
        x = Dense(height * width * first, **layer, name="base")(z, train=train)
        x = x.reshape(-1, height, width, first)
        if self.base_norm:
            x = nn.relu(self.norm.layer("norm0")(x, condition, train=train))
        for index, features in enumerate(others, start=1):
            x = self._double(x, features, f"deconv{index}", layer, train)  # [N, 2 H, 2 W, O]
            x = nn.relu(self.norm.layer(f"norm{index}")(x, condition, train=train))
        if self.architecture == "dcgan":
            x = self._double(x, self.image_shape[2], "output", layer, train)
        else:
            x = Conv(self.image_shape[2], **layer, name="output")(x, train=train)
        return jnp.tanh(at_least_float32(x))

    def _double(self, x: jax.Array, features: int, name: str, layer: dict, train: bool) -> jax.Array:
        """Maps [N, H, W, I] to [N, 2 H, 2 W, O]."""
        size = 2 * x.shape[1], 2 * x.shape[2]
        x = ConvTranspose(features, self.kernel_size, **layer, name=name)(x, train=train)
        return x[:, : size[0], : size[1]]  # A kernel of 5 adds one row and one column at the end.


class Discriminator(nn.Module):
    """Convolutions, each followed by norm (except the first) and LeakyReLU, and a linear layer or projection.

    Submodules: conv1, norm1, conv2, norm2, ..., head.

    Attributes:
      image_shape: (H, W, C).
      channels: channels of the convolutions.
      architecture: "dcgan" has only convolutions of stride 2; "sndcgan" has 3x3 convolutions of stride 1 before,
        between and after 4x4 convolutions of stride 2.
      kernel_size: side of the kernels of the convolutions of stride 2, 4 or 5.
      num_classes: number of classes of the projection; 0 has none, and labels are then ignored.
      pooling: "flatten", or "sum" or "mean" over all pixels, before the head.
      use_bias: whether the layers have biases.
      first_norm: whether norm also follows the first convolution.
      norm: the normalization.
      negative_slope: slope of the LeakyReLU below 0.
      spectral: spectral normalization of all kernels; None disables it.
      dtype: compute type of the convolutions; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    architecture: str = "dcgan"
    kernel_size: int = 4
    num_classes: int = 0
    pooling: str = "flatten"
    use_bias: bool = False
    first_norm: bool = False
    norm: NormConfig = NormConfig()
    negative_slope: float = 0.2
    spectral: SpectralNorm | None = None
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
        layer: dict[str, Any] = {
            "use_bias": self.use_bias,
            "spectral": self.spectral,
            "kernel_init": _INIT,
            "dtype": self.dtype,
        }
        strided: dict[str, Any] = {"kernel_size": self.kernel_size, "strides": 2, "padding": "SAME"}
        for index, channels in enumerate(self.channels, start=1):
            shape = {"kernel_size": 3} if self.architecture == "sndcgan" and index % 2 == 1 else strided
            x = Conv(channels, **shape, **layer, name=f"conv{index}")(x, train=train)
            if index > 1 or self.first_norm:
                x = self.norm.layer(f"norm{index}")(x, Condition(), train=train)
            x = nn.leaky_relu(x, self.negative_slope)
        x = at_least_float32(x)
        if self.pooling == "flatten":
            features = x.reshape(x.shape[0], -1)  # [N, H W C]
        else:
            features = jnp.sum(x, axis=(1, 2)) if self.pooling == "sum" else jnp.mean(x, axis=(1, 2))  # [N, C]
        head = ProjectionHead(
            self.num_classes, self.use_bias, self.spectral, kernel_init=_INIT, embedding_init=_INIT, name="head"
        )
        return DiscriminatorOutput(head(features, labels, train=train), features)

    @property
    def layers(self) -> tuple[str, ...]:
        """Parameter paths of the layers that freeze-D can freeze, the convolutions from the image on."""
        return tuple(f"conv{index}" for index in range(1, len(self.channels) + 1))


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 100,
    architecture: str = "dcgan",
    levels: int | None = None,
    kernel_size: int = 4,
    use_bias: bool = False,
    g_channels: int = 64,
    g_channels_max: int = 1024,
    g_norm: str | None = None,
    g_base_norm: bool = True,
    g_spectral: bool = False,
    d_channels: int = 64,
    d_channels_max: int = 1024,
    d_widens_with_stride: bool = True,
    d_norm: str = "batch",
    d_first_norm: bool = False,
    d_spectral: bool = False,
    d_negative_slope: float = 0.2,
    projection: bool | None = None,
    pooling: str = "flatten",
    spectral_eps: float = 1e-12,
    spectral_from_input: bool = False,
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
    norm_unbiased: bool = True,
    norm_gain_stddev: float | None = None,
    hidden: int | None = 32,
    dtype: str = "float32",
) -> Gan:
    """Builds the networks of DCGAN or SNDCGAN. The defaults are DCGAN at 64x64.

    The generator has g_channels in its last hidden layer, the discriminator d_channels in its first; both double at
    each halving of the grid, up to their maximum.

    Args:
      image_shape: (H, W, C), with sides that can be halved `levels` times.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z.
      architecture: 'dcgan', or 'sndcgan' with 3x3 convolutions between those of stride 2.
      levels: number of times that each network halves or doubles the grid; None reaches about 4x4.
      kernel_size: side of the kernels of stride 2: 4 or 5.
      use_bias: whether the layers have biases in addition to normalization.
      g_channels: channels of the last hidden layer of the generator, doubled at each halving of the grid.
      g_channels_max: maximum number of channels of the generator.
      g_norm: one of flaxgan.nn.generator_norm.NORMS; None is 'conditional' with classes, else 'batch'.
      g_base_norm: whether normalization and ReLU follow the first layer of the generator.
      g_spectral: whether the generator is spectrally normalized.
      d_channels: channels of the first layer of the discriminator, doubled at each halving of the grid.
      d_channels_max: maximum number of channels of the discriminator.
      d_widens_with_stride: 'sndcgan': True doubles channels in layers of stride 2, False in the layers after them.
      d_norm: normalization of the discriminator: 'batch', 'none', 'layer' or 'instance'.
      d_first_norm: whether normalization also follows the first layer of the discriminator.
      d_spectral: whether the discriminator is spectrally normalized.
      d_negative_slope: slope of the discriminator's LeakyReLU below 0.
      projection: whether the discriminator projects features on the class embedding; None does with classes.
      pooling: 'flatten', or 'sum' or 'mean' over all pixels, before the last layer of the discriminator.
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
    levels = fields.checked_levels("levels", levels, image_shape)
    checks.require_integers(1, z_dim=z_dim, g_channels=g_channels, g_channels_max=g_channels_max)
    checks.require_integers(1, d_channels=d_channels, d_channels_max=d_channels_max)
    checks.require_booleans(use_bias=use_bias, g_base_norm=g_base_norm)
    checks.require_booleans(d_widens_with_stride=d_widens_with_stride, d_first_norm=d_first_norm)
    checks.require_one_of(ARCHITECTURES, architecture=architecture)
    checks.require_one_of(POOLINGS, pooling=pooling)
    checks.require_one_of(fields.D_NORMS, d_norm=d_norm)
    checks.require(kernel_size in (4, 5), "kernel_size", kernel_size, "4, 5")
    checks.require_shares(d_negative_slope=d_negative_slope)
    spectral = fields.checked_spectral(spectral_eps, spectral_from_input, g_spectral=g_spectral, d_spectral=d_spectral)
    statistics: dict[str, Any] = {
        "eps": norm_eps,
        "momentum": norm_momentum,
        "unbiased": norm_unbiased,
        "gain_stddev": norm_gain_stddev,
    }
    modulation: dict[str, Any] = {"hidden": hidden, "spectral": spectral["g_spectral"], "kernel_init": _INIT}
    norm = fields.checked_norm(g_norm, num_classes, **statistics, **modulation)
    image_shape = checks.shape_of(image_shape)
    both: dict[str, Any] = {
        "image_shape": image_shape,
        "architecture": architecture,
        "kernel_size": kernel_size,
        "use_bias": use_bias,
        "dtype": fields.compute_dtype(dtype),
    }
    count = levels + (architecture == "sndcgan")
    generator = Generator(
        channels=fields.doubling(g_channels, g_channels_max, count)[::-1],
        base_norm=g_base_norm,
        norm=norm,
        spectral=spectral["g_spectral"],
        **both,
    )
    widths = fields.doubling(d_channels, d_channels_max, count)
    if architecture == "sndcgan":
        strided = widths[1:] if d_widens_with_stride else widths[:-1]
        widths = (*(size for pair in zip(widths, strided) for size in pair), widths[-1])
    discriminator = Discriminator(
        channels=widths,
        num_classes=fields.checked_projection(projection, num_classes),
        pooling=pooling,
        first_norm=d_first_norm,
        norm=NormConfig(d_norm, **statistics),
        negative_slope=d_negative_slope,
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
