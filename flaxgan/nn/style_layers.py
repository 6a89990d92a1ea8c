"""The layers of a style-based synthesis network."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.nn.equalized import FullyConnected, fir_filter, scaled_bias_act
from flaxgan.ops.modulated_conv import modulated_conv

NOISE_MODES = ("random", "const", "none")


class SynthesisLayer(nn.Module):
    """Modulated convolution, noise, bias and activation.

    Parameters: weight [K, K, I, O], drawn from N(0, 1); bias [O], initialized to 0; affine, the layer from w to styles,
    with a bias initialized to 1; with use_noise, noise_strength [], initialized to 0. Buffer: noise_const [H, W], drawn
    from N(0, 1).

    Attributes:
      features: output channels O.
      kernel_size: side K of the kernel, odd.
      up: integer upsampling factor.
      use_noise: whether noise is added.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      resample_filter: taps of the FIR filter for upsampling.
      conv_clamp: bound on the magnitude of the output at gain 1; None is unbounded.
      dtype: compute type; None is the promoted type of input and weight.

    References:
      Karras et al. 2020b (StyleGAN2), section 2.2 and figure 2.
    """

    features: int
    kernel_size: int = 3
    up: int = 1
    use_noise: bool = True
    activation: str = "lrelu"
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, *, noise_mode: str = "random", gain: float = 1.0) -> jax.Array:
        """Maps [N, H, W, I] to [N, H up, W up, O].

        Args:
          x: activations.
          w: one style per sample, [N, D].
          noise_mode: "random", a new map for each sample from the rng collection "noise"; "const", the buffer
            noise_const for all samples; or "none".
          gain: factor on the output and on conv_clamp.

        Raises:
          FieldError: on another noise_mode.
        """
        num_samples, height, width, in_channels = x.shape
        shape = (self.kernel_size, self.kernel_size, in_channels, self.features)
        weight = self.param("weight", nn.initializers.normal(1.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        styles = FullyConnected(in_channels, bias_init=1.0, name="affine")(w)
        x, _ = nn.dtypes.promote_dtype(x, weight, dtype=self.dtype)  # the convolution casts the weight
        x = modulated_conv(
            x,
            weight,
            styles,
            noise=self._noise((num_samples, height * self.up, width * self.up), noise_mode),
            up=self.up,
            padding=self.kernel_size // 2,
            resample_filter=fir_filter(self.resample_filter),
            flip_weight=self.up == 1,
        )
        return scaled_bias_act(x, bias, activation=self.activation, gain=gain, clamp=self.conv_clamp)

    def _noise(self, shape: tuple[int, int, int], noise_mode: str) -> jax.Array | None:
        """Returns noise times its strength: [H, W] for all samples, [N, H, W, 1] for each, or None."""
        if noise_mode not in NOISE_MODES:
            raise FieldError("noise_mode", noise_mode, ", ".join(NOISE_MODES))
        if not self.use_noise:
            return None
        strength = self.param("noise_strength", nn.initializers.zeros, (), jnp.float32)
        const = self.variable("buffers", "noise_const", lambda: _normal(self.make_rng("params"), shape[1:]))
        if noise_mode == "none":
            return None
        if noise_mode == "const":
            return const.value * strength
        return _normal(self.make_rng("noise"), (*shape, 1)) * strength


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, from features to image channels.

    Parameters: weight [K, K, I, C], drawn from N(0, 1); bias [C], initialized to 0; affine, the layer from w to styles,
    with a bias initialized to 1.

    Attributes:
      image_channels: number of image channels C.
      kernel_size: side K of the kernel.
      conv_clamp: bound on the magnitude of the output; None is unbounded.
      dtype: compute type; None is the promoted type of input and weight.

    References:
      Karras et al. 2020b (StyleGAN2), section 4.1, "tRGB".
    """

    image_channels: int
    kernel_size: int = 1
    conv_clamp: float | None = None
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] with styles [N, D] to [N, H, W, C]."""
        in_channels = x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, in_channels, self.image_channels)
        weight = self.param("weight", nn.initializers.normal(1.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.image_channels,), jnp.float32)
        styles = FullyConnected(in_channels, bias_init=1.0, name="affine")(w)
        styles = styles / math.sqrt(in_channels * self.kernel_size**2)
        x, _ = nn.dtypes.promote_dtype(x, weight, dtype=self.dtype)  # the convolution casts the weight
        x = modulated_conv(x, weight, styles, padding=self.kernel_size // 2, demodulate=False)
        return scaled_bias_act(x, bias, activation="linear", clamp=self.conv_clamp)


def _normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draws noise from N(0, 1), in float32 for any compute type."""
    return jax.random.normal(key, shape, jnp.float32)
