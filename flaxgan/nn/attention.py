"""Self-attention between the pixels of a feature map."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn.layers import XAVIER, ZEROS, Conv, Initializer, SpectralNorm
from flaxgan.nn.precision import at_least_float32


class SelfAttention(nn.Module):
    """Self-attention x + gamma * o(attention): adds to every pixel a mixture of the values at all pixels.

    gamma is initialized to 0. Queries theta and keys phi have max(C // 8, 1) channels, values g have max(C // 2, 1);
    all are 1x1 convolutions. Keys and values are max-pooled over 2x2 pixels, which drops an odd last row or column. The
    attention is softmax(theta phi^T), in float32 or higher, without a factor 1 / sqrt(channels).

    Variables: params gamma [], and kernel (with use_bias, bias) of theta, phi, g and o; with spectral, spectral u and v
    of each. The attention [N, H W, H W / 4] is sown as "attention" in the collection "intermediates".

    Attributes:
      use_bias: whether the convolutions have biases.
      spectral: spectral normalization of the kernels; None disables it.
      kernel_init: initializer of the kernels.
      bias_init: initializer of the biases.
      dtype: compute type; None is the promoted type of input and kernels.

    References:
      Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", section 3; channels and pooling are those of
      the authors' code and of BigGAN's.
    """

    use_bias: bool = False
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = XAVIER
    bias_init: Initializer = ZEROS
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, C] to the same shape; train updates u and v.

        Raises:
          FieldError: if H or W is below 2.
        """
        if x.ndim != 4 or min(x.shape[1:3]) < 2:
            raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C], H and W at least 2")
        batch, _, _, channels = x.shape
        theta = self._project(x, "theta", max(channels // 8, 1), train)
        phi = _max_pool(self._project(x, "phi", max(channels // 8, 1), train))
        g = _max_pool(self._project(x, "g", max(channels // 2, 1), train))
        theta, phi, g = (array.reshape(batch, -1, array.shape[-1]) for array in (theta, phi, g))
        attention = jax.nn.softmax(at_least_float32(jnp.einsum("nqc,nkc->nqk", theta, phi)), axis=-1)
        self.sow("intermediates", "attention", attention)
        mixture = jnp.einsum("nqk,nkc->nqc", attention.astype(g.dtype), g)
        y = self._project(mixture.reshape(*x.shape[:3], -1), "o", channels, train)
        gamma = self.param("gamma", nn.initializers.zeros, (), jnp.float32)
        return x + gamma.astype(y.dtype) * y

    def _project(self, x: jax.Array, name: str, features: int, train: bool) -> jax.Array:
        """Applies the 1x1 convolution with this name."""
        conv = Conv(
            features,
            kernel_size=1,
            use_bias=self.use_bias,
            spectral=self.spectral,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            dtype=self.dtype,
            name=name,
        )
        return conv(x, train=train)


def _max_pool(x: jax.Array) -> jax.Array:
    """Takes the maximum of each 2x2 pixels: [N, H, W, C] to [N, H // 2, W // 2, C]."""
    batch, height, width, channels = x.shape
    height, width = height // 2, width // 2
    return x[:, : 2 * height, : 2 * width].reshape(batch, height, 2, width, 2, channels).max(axis=(2, 4))
