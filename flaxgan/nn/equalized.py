"""Dense and convolutional layers whose weights are scaled by He's constant, at run time or once at the start.

`FullyConnected` and `EqualizedConv` draw weights from N(0, 1), scale them at run time, and apply bias and activation;
the gain of the activation scales the bias, too. `HeDense` and `HeConv` hold the gain of the activation in their
weights, so it does not scale the bias. They leave the activation to the caller, who may blur or add noise before it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.ops.bias_act import ACTIVATIONS, bias_act
from flaxgan.ops.conv import conv2d_resample
from flaxgan.ops.upfirdn import setup_filter

INITIALIZERS = ("equalized", "he")
LRELU_SLOPE = 0.2

_BOX = (1.0, 1.0)  # Taps of the filter that repeats pixels when it enlarges, and averages them when it shrinks.


class FullyConnected(nn.Module):
    """Dense layer y = act(x (weight lr_multiplier / sqrt(I)) + bias lr_multiplier).

    Parameters: weight [I, O], drawn from N(0, 1) / lr_multiplier; bias [O], filled with bias_init.
    Computes in the promoted type of input and weight, hence never below float32.

    Attributes:
      features: output features O.
      use_bias: whether there is a bias.
      activation: name of an activation of `flaxgan.ops.bias_act`, applied with its default gain.
      lr_multiplier: learning rate of this layer relative to the others.
      bias_init: initial value of the bias, before lr_multiplier.

    References:
      Karras et al. 2018 (PGGAN), section 4.1; the multiplier is that of Karras et al. 2019 (StyleGAN), appendix C.
    """

    features: int
    use_bias: bool = True
    activation: str = "linear"
    lr_multiplier: float = 1.0
    bias_init: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., I] to [..., O]."""
        in_features = x.shape[-1]
        weight = self.param(
            "weight", nn.initializers.normal(1 / self.lr_multiplier), (in_features, self.features), jnp.float32
        )
        x, weight = nn.dtypes.promote_dtype(x, weight)
        x = x @ (weight * (self.lr_multiplier / math.sqrt(in_features)))
        bias = None
        if self.use_bias:
            init = nn.initializers.constant(self.bias_init)
            bias = self.param("bias", init, (self.features,), jnp.float32) * self.lr_multiplier
        return bias_act(x, bias, activation=self.activation)


class EqualizedConv(nn.Module):
    """Convolution, with optional up- or downsampling, bias and activation.

    Parameters: weight [K, K, I, O], drawn from N(0, 1) and used as weight / sqrt(I K^2); bias [O], initialized to 0.

    Attributes:
      features: output channels O.
      kernel_size: side K of the kernel, odd; the input is padded by K // 2.
      use_bias: whether there is a bias.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      up: integer upsampling factor.
      down: integer downsampling factor.
      resample_filter: taps of the FIR filter for up- and downsampling.
      conv_clamp: bound on the magnitude of the output at gain 1; None is unbounded.
      dtype: compute type; None is the promoted type of input and weight.

    References:
      Karras et al. 2018 (PGGAN), section 4.1; resampling as in Karras et al. 2020b (StyleGAN2), appendix B.
    """

    features: int
    kernel_size: int
    use_bias: bool = True
    activation: str = "linear"
    up: int = 1
    down: int = 1
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, gain: float = 1.0) -> jax.Array:
        """Maps [N, H, W, I] to [N, H up / down, W up / down, O].

        Args:
          x: activations.
          gain: factor on the output and on conv_clamp.
        """
        size, in_channels = self.kernel_size, x.shape[-1]
        weight = self.param(
            "weight", nn.initializers.normal(1.0), (size, size, in_channels, self.features), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32) if self.use_bias else None
        x, weight = nn.dtypes.promote_dtype(x, weight / math.sqrt(in_channels * size**2), dtype=self.dtype)
        x = conv2d_resample(
            x,
            weight,
            fir_filter(self.resample_filter),
            up=self.up,
            down=self.down,
            padding=size // 2,
            flip_weight=self.up == 1,
        )
        return scaled_bias_act(x, bias, activation=self.activation, gain=gain, clamp=self.conv_clamp)


class HeDense(nn.Module):
    """Dense layer y = x W + bias lr_multiplier, where W has the variance gain^2 / I.

    Parameters: weight [I, O]; bias [O], initialized to 0. With c = gain / sqrt(I) and lr_multiplier l, the initializer
    "equalized" draws the weight from N(0, 1 / l^2) and uses W = weight c l; "he" draws it from N(0, (c / l)^2) and uses
    W = weight l. Computes in the promoted type of input and weight, hence never below float32.

    Attributes:
      features: output features O.
      gain: factor on the standard deviation of W.
      use_bias: whether there is a bias.
      lr_multiplier: learning rate of this layer relative to the others.
      initializer: "equalized" or "he".

    References:
      He et al. 2015, equation 10; Karras et al. 2018 (PGGAN), section 4.1, "equalized learning rate"; the multiplier is
      that of Karras et al. 2019 (StyleGAN), appendix C.
    """

    features: int
    gain: float = math.sqrt(2)
    use_bias: bool = True
    lr_multiplier: float = 1.0
    initializer: str = "equalized"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., I] to [..., O]."""
        shape = (x.shape[-1], self.features)
        weight = _scaled_weight(self, shape, self.lr_multiplier)
        x, weight = nn.dtypes.promote_dtype(x, weight)
        y = x @ weight
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32) * self.lr_multiplier
        return y


class HeConv(nn.Module):
    """Convolution after nearest-neighbour upsampling or before averaging, without activation.

    Parameters: weight [K, K, I, O], drawn and scaled as in `HeDense` with I K^2 inputs; bias [O], initialized to 0.

    Attributes:
      features: output channels O.
      kernel_size: side K of the kernel, odd; the input is padded by K // 2.
      gain: factor on the standard deviation of the weights.
      use_bias: whether there is a bias.
      up: integer factor of nearest-neighbour upsampling before the convolution.
      down: integer factor of averaging after the convolution.
      initializer: "equalized" or "he".
      dtype: compute type; None is the promoted type of input and weight.

    References:
      Karras et al. 2018 (PGGAN), section 4.1 and appendix A. The fused form of the official codes gives the same result
      with a flipped kernel (up) or the same kernel (down).
    """

    features: int
    kernel_size: int = 3
    gain: float = math.sqrt(2)
    use_bias: bool = True
    up: int = 1
    down: int = 1
    initializer: str = "equalized"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, H up / down, W up / down, O]."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        x, weight = nn.dtypes.promote_dtype(x, _scaled_weight(self, shape, 1.0), dtype=self.dtype)
        padding = self.kernel_size // 2
        y = conv2d_resample(x, weight, fir_filter(_BOX), up=self.up, down=self.down, padding=padding)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32).astype(y.dtype)
        return y


def lrelu_gain(initializer: str) -> float:
    """Returns the gain of weights before a leaky ReLU of slope 0.2.

    It is sqrt(2) for "equalized", as in the official codes, and sqrt(2 / (1 + 0.2^2)) for "he", as in the article.

    Raises:
      FieldError: on another initializer.
    """
    if initializer not in INITIALIZERS:
        raise FieldError("initializer", initializer, ", ".join(INITIALIZERS))
    return math.sqrt(2) if initializer == "equalized" else math.sqrt(2 / (1 + LRELU_SLOPE**2))


def scaled_bias_act(
    x: jax.Array, bias: jax.Array | None, *, activation: str, gain: float = 1.0, clamp: float | None = None
) -> jax.Array:
    """Computes gain * clip(act(x + bias) * default gain, -clamp, clamp), with which a layer ends.

    Args:
      x: activations [..., C].
      bias: [C] or None.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      gain: factor in addition to the activation's default gain.
      clamp: bound on the magnitude at gain 1; None is unbounded.
    """
    clamp = None if clamp is None else clamp * gain
    return bias_act(x, bias, activation=activation, gain=ACTIVATIONS[activation].gain * gain, clamp=clamp)


def fir_filter(taps: tuple[float, ...] | None) -> np.ndarray:
    """Returns the normalized filter of these taps (None: the identity) in float64, which is exact for any dtype."""
    return setup_filter(None if taps is None else np.asarray(taps, np.float64))


def _scaled_weight(module: HeDense | HeConv, shape: tuple[int, ...], lr_multiplier: float) -> jax.Array:
    """Returns the scaled weight of a layer, which owns the parameter."""
    he_constant = module.gain / math.sqrt(math.prod(shape[:-1]))
    if module.initializer not in INITIALIZERS:
        raise FieldError("initializer", module.initializer, ", ".join(INITIALIZERS))
    at_start, at_run_time = (1.0, he_constant) if module.initializer == "equalized" else (he_constant, 1.0)
    init = nn.initializers.normal(at_start / lr_multiplier)
    weight = module.param("weight", init, shape, jnp.float32)
    return weight * (at_run_time * lr_multiplier)
