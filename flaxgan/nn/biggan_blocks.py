"""What BigGAN adds to residual blocks: normalization by a vector, and the blocks of BigGAN-deep.

Reference: Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", appendix B, figures
  15 and 16.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Conv, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.norms import LinearConditionalBatchNorm
from flaxgan.nn.residual import kernel_init
from flaxgan.ops.resampling import box_downsample
from flaxgan.ops.upsampling import upsample

RATIO = 4  # Of the channels of a block of BigGAN-deep to those inside it.


@dataclasses.dataclass(frozen=True)
class VectorNormConfig:
    """Batch normalization linear in a vector, where a generator's blocks take a `NormConfig`.

    The vector is Condition.z: a class embedding, joined with a part of the latent.

    Attributes:
      eps: added to the variance.
      momentum: share of the new batch in running statistics.
      unbiased: whether running variances are unbiased.
      spectral: spectral normalization of the kernels; None is none.
      initializer: that of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    unbiased: bool = True
    spectral: SpectralNorm | None = None
    initializer: str = "orthogonal"

    def layer(self, name: str) -> "VectorNorm":
        """A normalization layer; called inside a compact method, it is a submodule of that name."""
        return VectorNorm(self, name=name)

    def without_classes(self) -> NormConfig:
        """Plain batch normalization: what generators with such blocks end with."""
        return NormConfig("batch", eps=self.eps, momentum=self.momentum, unbiased=self.unbiased)


class VectorNorm(nn.Module):
    """`LinearConditionalBatchNorm` of the vector Condition.z, as the submodule `norm`.

    Attributes:
      choice: its settings.
    """

    choice: VectorNormConfig

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C].

        Raises:
          ValueError: if there is no vector.
        """
        if condition.z is None:
            raise ValueError("condition.z: found None, allowed: float [N, Y]")
        settings = vars(self.choice) | {"name": "norm"}
        init = kernel_init(settings.pop("initializer"))
        return LinearConditionalBatchNorm(**settings, kernel_init=init)(x, condition.z, train=train)


class DeepGeneratorBlock(nn.Module):
    """x + f(x), f: 1x1 to a quarter of the channels, two 3x3 there, 1x1 back, norm and ReLU before each.

    Upsampling is before the first 3x3, and of x. A block with fewer channels than x adds only the first ones of x.
    Submodules: norm1 to norm4, conv1 to conv4.

    Attributes:
      features: output channels O, at most those of the input.
      norm: the normalization.
      upsampling: a method of `flaxgan.ops.upsampling.upsample`; None keeps the size.
      spectral: spectral normalization of the convolutions; None is none.
      initializer: that of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
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
          condition: what the normalization depends on.
          train: whether statistics are the batch's; "batch_stats" and "spectral" must then be mutable.

        Raises:
          ValueError: if I is below 4 or O.
        """
        if x.shape[-1] < max(RATIO, self.features):
            raise ValueError(f"x: found {x.shape[-1]} channels, allowed: at least {max(RATIO, self.features)}")
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
    """s(x) + f(x), f: 1x1 to a quarter of its output channels, two 3x3 there, pooling, 1x1, a ReLU before each.

    s(x) is x, pooled; a block with more channels than x takes the further ones from a 1x1 convolution of that.
    Submodules: conv1 to conv4; shortcut, where there are further channels.

    Attributes:
      features: output channels O, at least those of the input.
      downsample: whether the block halves the size.
      activated_shortcut: whether s sees the input after the ReLU, as where a ReLU overwrites its input.
      spectral: spectral normalization of the convolutions; None is none.
      initializer: that of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
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
        """Maps [N, H, W, I] to [N, H, W, O], or [N, H / 2, W / 2, O] with downsample; train as in the other block.

        Raises:
          ValueError: if O is below 4 or I.
        """
        further = self.features - x.shape[-1]
        if self.features < RATIO or further < 0:
            raise ValueError(f"features: found {self.features}, allowed: at least {max(RATIO, x.shape[-1])}")
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
    """A convolution with the block's settings."""
    settings = {"spectral": block.spectral, "kernel_init": kernel_init(block.initializer), "dtype": block.dtype}
    return Conv(features, kernel_size, **settings, name=name)
