"""BigGAN's additions to residual blocks: normalization conditioned on a vector, and the blocks of BigGAN-deep.

References:
  Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", appendix B, figures 15
  and 16.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Conv, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.norms import LinearConditionalBatchNorm
from flaxgan.nn.optional_inputs import given
from flaxgan.nn.residual import kernel_init
from flaxgan.ops.resampling import box_downsample
from flaxgan.ops.upsampling import upsample

RATIO = 4  # Ratio of the channels of a block of BigGAN-deep to those inside it.


@dataclasses.dataclass(frozen=True)
class VectorNormConfig:
    """Settings of batch normalization that is linear in a vector; blocks of a generator take it as a `NormConfig`.

    The vector is Condition.z: a class embedding, concatenated with a part of the latent.

    Attributes:
      eps: epsilon added to the variance.
      momentum: weight of the new batch in running statistics.
      unbiased: whether running variances are unbiased.
      spectral: spectral normalization of the kernels; None disables it.
      initializer: initializer of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    unbiased: bool = True
    spectral: SpectralNorm | None = None
    initializer: str = "orthogonal"

    def layer(self, name: str) -> "VectorNorm":
        """Returns a normalization layer; inside a compact method, it is a submodule with this name."""
        return VectorNorm(self, name=name)

    def without_classes(self) -> NormConfig:
        """Returns plain batch normalization, with which generators of these blocks end."""
        return NormConfig("batch", eps=self.eps, momentum=self.momentum, unbiased=self.unbiased)


class VectorNorm(nn.Module):
    """A `LinearConditionalBatchNorm` conditioned on the vector Condition.z, as the submodule `norm`.

    Attributes:
      choice: settings.
    """

    choice: VectorNormConfig

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C].

        Raises:
          FieldError: if the vector is missing.
        """
        y = given("condition.z", condition.z, "float [N, Y]")
        settings = vars(self.choice) | {"name": "norm"}
        init = kernel_init(settings.pop("initializer"))
        return LinearConditionalBatchNorm(**settings, kernel_init=init)(x, y, train=train)


class DeepGeneratorBlock(nn.Module):
    """Residual block x + f(x) of BigGAN-deep's generator.

    f is a 1x1 convolution to a quarter of the channels, two 3x3 convolutions and a 1x1 convolution back, with norm and
    ReLU before each. Upsampling comes before the first 3x3 convolution, and is also applied to x. A block with fewer
    channels than x adds only the first channels of x.
    Submodules: norm1 to norm4, conv1 to conv4.

    Attributes:
      features: output channels O, at most those of the input.
      norm: the normalization.
      upsampling: method of `flaxgan.ops.upsampling.upsample`; None keeps the size.
      spectral: spectral normalization of the convolutions; None disables it.
      initializer: initializer of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    features: int
    norm: NormConfig | VectorNormConfig = NormConfig()
    upsampling: str | None = "nearest"
    spectral: SpectralNorm | None = None
    initializer: str = "orthogonal"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, I] to [N, 2 H, 2 W, O], or [N, H, W, O] without upsampling.

        Args:
          x: activations.
          condition: condition of the normalization.
          train: whether to use the statistics of the batch; "batch_stats" and "spectral" must then be mutable.

        Raises:
          FieldError: if I is below 4 or below O.
        """
        if x.shape[-1] < max(RATIO, self.features):
            raise FieldError("x", Words(f"{x.shape[-1]} channels"), f"at least {max(RATIO, self.features)}")
        narrow = x.shape[-1] // RATIO

        def activated(y: jax.Array, name: str) -> jax.Array:
            return nn.relu(self.norm.layer(name)(y, condition, train=train))

        y = _conv(self, "conv1", narrow, 1)(activated(x, "norm1"), train=train)
        y, x = activated(y, "norm2"), x[..., : self.features]
        if self.upsampling is not None:
            y, x = upsample(y, self.upsampling), upsample(x, self.upsampling)  # [N, 2 H, 2 W, ...]
        y = _conv(self, "conv2", narrow)(y, train=train)
        y = _conv(self, "conv3", narrow)(activated(y, "norm3"), train=train)
        return x + _conv(self, "conv4", self.features, 1)(activated(y, "norm4"), train=train)


class DeepDiscriminatorBlock(nn.Module):
    """Residual block s(x) + f(x) of BigGAN-deep's discriminator.

    f is a 1x1 convolution to a quarter of the output channels, two 3x3 convolutions, pooling and a 1x1 convolution,
    with a ReLU before each convolution. s(x) is the pooled x; a block with more channels than x takes the additional
    channels from a 1x1 convolution of the pooled x.
    Submodules: conv1 to conv4; shortcut, if there are additional channels.

    Attributes:
      features: output channels O, at least those of the input.
      downsample: whether the block halves the size.
      activated_shortcut: whether s takes the input after the ReLU, as where a ReLU overwrites its input.
      spectral: spectral normalization of the convolutions; None disables it.
      initializer: initializer of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    features: int
    downsample: bool = True
    activated_shortcut: bool = False
    spectral: SpectralNorm | None = None
    initializer: str = "orthogonal"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, I] to [N, H, W, O], or [N, H / 2, W / 2, O] with downsample.

        Args:
          x: activations.
          train: whether to update spectral normalization; "spectral" must then be mutable.

        Raises:
          FieldError: if O is below 4 or below I.
        """
        further = self.features - x.shape[-1]
        if self.features < RATIO or further < 0:
            raise FieldError("features", self.features, f"at least {max(RATIO, x.shape[-1])}")
        narrow = self.features // RATIO
        y = nn.relu(x)
        x = y if self.activated_shortcut else x
        y = nn.relu(_conv(self, "conv1", narrow, 1)(y, train=train))
        y = nn.relu(_conv(self, "conv2", narrow)(y, train=train))
        y = nn.relu(_conv(self, "conv3", narrow)(y, train=train))
        if self.downsample:
            y, x = box_downsample(y), box_downsample(x)  # [N, H / 2, W / 2, ...]
        if further:
            x = jnp.concatenate([x, _conv(self, "shortcut", further, 1)(x, train=train).astype(x.dtype)], axis=-1)
        return x + _conv(self, "conv4", self.features, 1)(y, train=train)


def _conv(block: DeepGeneratorBlock | DeepDiscriminatorBlock, name: str, features: int, kernel_size: int = 3) -> Conv:
    """Returns a convolution with the settings of the block."""
    init = kernel_init(block.initializer)
    return Conv(features, kernel_size, spectral=block.spectral, kernel_init=init, dtype=block.dtype, name=name)
