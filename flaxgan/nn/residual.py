"""Residual blocks without strides for generators and discriminators: upsampling, 3x3 convolutions, average pooling.

References:
  Gulrajani et al. 2017 (WGAN-GP), appendix F; Miyato et al. 2018 (SNGAN), appendix B.4.
"""

import jax
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import XAVIER, Conv, Initializer, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.ops.resampling import box_downsample
from flaxgan.ops.upsampling import upsample

NORMAL = nn.initializers.normal(0.02)
ORTHOGONAL = nn.initializers.orthogonal()

_RESIDUAL_INITS = {
    "xavier": nn.initializers.variance_scaling(2.0, "fan_avg", "uniform"),
    "glorot": XAVIER,
    "normal": NORMAL,
    "orthogonal": ORTHOGONAL,
}
_OTHER_INITS = {"xavier": XAVIER, "glorot": XAVIER, "normal": NORMAL, "orthogonal": ORTHOGONAL}

INITIALIZERS = tuple(_OTHER_INITS)


def kernel_init(name: str, *, residual: bool = False) -> Initializer:
    """Returns an initializer of kernels.

    Args:
      name: one of INITIALIZERS: 'xavier', uniform, with gain sqrt(2) on residual branches; 'glorot', the same with gain
        1 in all layers; 'normal', N(0, 0.02); or 'orthogonal'.
      residual: whether the layer is on a residual branch.

    Raises:
      FieldError: on another name.
    """
    if name not in INITIALIZERS:
        raise FieldError("initializer", name, ", ".join(INITIALIZERS))
    return (_RESIDUAL_INITS if residual else _OTHER_INITS)[name]


class GeneratorBlock(nn.Module):
    """Residual block s(up(x)) + alpha f(x) of a generator.

    f is norm, ReLU, up, 3x3 convolution, norm, ReLU and 3x3 convolution; s is a convolution.
    Submodules: norm1, conv1, norm2, conv2, shortcut.

    Attributes:
      features: output channels O.
      norm: the normalization.
      upsampling: method of `flaxgan.ops.upsampling.upsample`.
      shortcut_kernel: side of the kernel of s.
      residual_scale: alpha.
      spectral: spectral normalization of the convolutions; None disables it.
      initializer: initializer of the kernels, one of INITIALIZERS.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    features: int
    norm: NormConfig = NormConfig()
    upsampling: str = "nearest"
    shortcut_kernel: int = 1
    residual_scale: float = 1.0
    spectral: SpectralNorm | None = None
    initializer: str = "xavier"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, I] to [N, 2 H, 2 W, O].

        Args:
          x: activations.
          condition: condition of the normalization.
          train: whether to use the statistics of the batch; "batch_stats" and "spectral" must then be mutable.
        """
        y = upsample(nn.relu(self.norm.layer("norm1")(x, condition, train=train)), self.upsampling)
        y = self._conv("conv1", residual=True)(y, train=train)
        y = nn.relu(self.norm.layer("norm2")(y, condition, train=train))
        y = self._conv("conv2", residual=True)(y, train=train)
        shortcut = self._conv("shortcut", kernel_size=self.shortcut_kernel)
        if self.shortcut_kernel == 1 and self.upsampling != "zeros":
            # Interpolation commutes with a map of the channels of each pixel, and here there are 4 times fewer pixels.
            x = upsample(shortcut(x, train=train), self.upsampling)
        else:
            x = shortcut(upsample(x, self.upsampling), train=train)
        return x + self.residual_scale * y

    def _conv(self, name: str, *, kernel_size: int = 3, residual: bool = False) -> Conv:
        init = kernel_init(self.initializer, residual=residual)
        return Conv(self.features, kernel_size, spectral=self.spectral, kernel_init=init, dtype=self.dtype, name=name)


class DiscriminatorBlock(nn.Module):
    """Residual block pool(s(x)) + alpha pool(f(x)) of a discriminator.

    f is norm, ReLU, 3x3 convolution, norm, ReLU and 3x3 convolution. With shortcut_kernel 1, s is the identity if the
    block changes neither channels nor size, and a 1x1 convolution otherwise. With a larger kernel s is always a
    convolution.
    Submodules: norm1, conv1, norm2, conv2, shortcut, where they exist.

    Attributes:
      features: output channels O.
      hidden_features: channels between the convolutions.
      downsample: True pools by the mean of 2x2 pixels; False does not pool.
      activates_input: whether f begins with norm and ReLU, which is False for images.
      activated_shortcut: True applies s to the input after norm and ReLU, as where a ReLU overwrites its input (the
        mimicry library); False to the input itself.
      norm: the normalization.
      shortcut_kernel: side of the kernel of s.
      residual_scale: alpha.
      spectral: spectral normalization of the convolutions; None disables it.
      initializer: initializer of the kernels, one of INITIALIZERS.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    features: int
    hidden_features: int
    downsample: bool = True
    activates_input: bool = True
    activated_shortcut: bool = False
    norm: NormConfig = NormConfig("none")
    shortcut_kernel: int = 1
    residual_scale: float = 1.0
    spectral: SpectralNorm | None = None
    initializer: str = "xavier"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, I] to [N, H, W, O], or [N, H/2, W/2, O] with downsample; train as in `GeneratorBlock`."""
        y = x
        if self.activates_input:
            y = nn.relu(self.norm.layer("norm1")(x, Condition(), train=train))
        shortcut = y if self.activated_shortcut else x
        y = self._conv("conv1", self.hidden_features)(y, train=train)
        y = nn.relu(self.norm.layer("norm2")(y, Condition(), train=train))
        y = self._conv("conv2", self.features)(y, train=train)
        return self._shortcut(shortcut, train).astype(y.dtype) + self.residual_scale * self._pool(y)

    def _shortcut(self, x: jax.Array, train: bool) -> jax.Array:
        if self.shortcut_kernel > 1:
            return self._pool(self._conv("shortcut", self.features, self.shortcut_kernel)(x, train=train))
        x = self._pool(x)  # Pooling commutes with the convolution, which then has 4 times fewer pixels.
        if self.downsample or x.shape[-1] != self.features:
            x = self._conv("shortcut", self.features, 1)(x, train=train)
        return x

    def _pool(self, x: jax.Array) -> jax.Array:
        return box_downsample(x, 2) if self.downsample else x

    def _conv(self, name: str, features: int, kernel_size: int = 3) -> Conv:
        init = kernel_init(self.initializer, residual=name != "shortcut")
        return Conv(features, kernel_size, spectral=self.spectral, kernel_init=init, dtype=self.dtype, name=name)
