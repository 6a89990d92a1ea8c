"""Dense and convolutional layers whose weights are scaled by He's constant, at run time or once at the start.

They differ from those of `flaxgan.nn.equalized` in where the activation's gain is: here in the weights, so that a bias
is not scaled by it, and in that bias and activation are left to the caller, who may have a blur or noise before them.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.nn.equalized import fir_filter
from flaxgan.ops.conv import conv2d_resample

INITIALIZERS = ("equalized", "he")
LRELU_SLOPE = 0.2

_BOX = (1.0, 1.0)  # Taps of the filter that repeats pixels when it enlarges, and averages them when it shrinks.


def lrelu_gain(initializer: str) -> float:
    """The gain of weights in front of a leaky ReLU of slope 0.2.

    sqrt(2) for "equalized", as in the official codes; sqrt(2 / (1 + 0.2^2)) for "he", as in the article.

    Raises:
      ValueError: on another initializer.
    """
    if initializer not in INITIALIZERS:
        raise ValueError(f"initializer: found {initializer!r}, allowed: {', '.join(INITIALIZERS)}")
    return math.sqrt(2) if initializer == "equalized" else math.sqrt(2 / (1 + LRELU_SLOPE**2))


class HeDense(nn.Module):
    """Dense layer y = x W + bias lr_multiplier, the variance of W being gain^2 / I.

    Parameters: weight [I, O]; bias [O] from 0. With c = gain / sqrt(I) and lr_multiplier l, the initializer "equalized"
    draws the weight from N(0, 1 / l^2) and uses W = weight c l; "he" draws it from N(0, (c / l)^2) and uses weight l.
    Computes in the promoted type of input and weight, so never below float32.

    Attributes:
      features: output features O.
      gain: factor on the standard deviation of W.
      use_bias: whether there is a bias.
      lr_multiplier: learning rate of this layer relative to the others.
      initializer: "equalized" or "he".

    Reference: He et al. 2015, equation 10; Karras et al. 2018 (PGGAN), section 4.1, "equalized learning rate"; the
      multiplier is Karras et al. 2019 (StyleGAN), appendix C.
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
    """Convolution, after repeating each pixel or before averaging pixels, without activation.

    Parameters: weight [K, K, I, O], drawn and scaled as in `HeDense` with I K^2 inputs; bias [O] from 0.

    Attributes:
      features: output channels O.
      kernel_size: side K of the kernel, odd; the input is padded by K // 2.
      gain: factor on the standard deviation of the weights.
      use_bias: whether there is a bias.
      up: integer factor of nearest-neighbour upsampling in front of the convolution.
      down: integer factor of averaging behind it.
      initializer: "equalized" or "he".
      dtype: compute type; None is the promoted type of input and weight.

    Reference: Karras et al. 2018 (PGGAN), section 4.1 and appendix A. The official codes' fused form of up and down
      gives the same with the kernel flipped (up) or as it is (down).
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


def _scaled_weight(module: HeDense | HeConv, shape: tuple[int, ...], lr_multiplier: float) -> jax.Array:
    """The weight that the layer uses; its parameter belongs to the module."""
    he_constant = module.gain / math.sqrt(math.prod(shape[:-1]))
    if module.initializer not in INITIALIZERS:
        raise ValueError(f"initializer: found {module.initializer!r}, allowed: {', '.join(INITIALIZERS)}")
    at_start, at_run_time = (1.0, he_constant) if module.initializer == "equalized" else (he_constant, 1.0)
    init = nn.initializers.normal(at_start / lr_multiplier)
    weight = module.param("weight", init, shape, jnp.float32)
    return weight * (at_run_time * lr_multiplier)
