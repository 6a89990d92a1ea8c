"""O-GAN: a DCGAN whose discriminator is an encoder, too.

The discriminator's features E(x) estimate the latent that an image comes from, and its score is their mean over the
latent axis. The official code's encoder minimizes the mean of E(real) - E(fake), so the logit is -mean E(x) here: reals
score higher, and the loss `wasserstein` is that of the paper. With the regularizer `latent_correlation` in the losses
of both networks, `flaxgan.train.encode` inverts the generator.

Reference: Su 2019, "O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks"; the networks
are those of its official code, in the manner of Radford et al. 2016 (DCGAN).
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.networks import _checks as checks
from flaxgan.nn import precision, pyramid
from flaxgan.nn.generator_norm import Condition, GeneratorNorm
from flaxgan.nn.linear import Conv, ConvTranspose, Dense
from flaxgan.nn.norms import BatchNorm
from flaxgan.types import DiscriminatorOutput, Gan

G_NORMS = ("batch", "self_modulated", "layer", "instance", "none")
D_NORMS = ("batch", "none")

KERNEL_INIT = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """A dense layer to the base grid, then transposed convolutions, each of which doubles it.

    Variables: params/base, up{i}, norm{i}; batch_stats/norm{i}.

    Attributes:
      image_shape: (H, W, C).
      widths: channels at each grid but the image's own, from the base grid on.
      kernel_size: side of the kernels.
      norm: normalization before each ReLU, one of G_NORMS.
      hidden: width of the hidden layer of self-modulation, or None.
      shared_hidden: whether self-modulation reads gain and offset from one hidden layer.
      bn_eps: added to variances.
      bn_momentum: share of a new batch in running statistics.
      dtype: compute type of the convolutions, one of `flaxgan.nn.precision.DTYPES`.
    """

    image_shape: tuple[int, int, int]
    widths: tuple[int, ...]
    kernel_size: int
    norm: str
    hidden: int | None
    shared_hidden: bool
    bn_eps: float
    bn_momentum: float
    dtype: str = "float32"

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Maps latents [N, Z] to images [N, H, W, C] in [-1, 1], at least float32; labels are ignored."""
        *size, channels = self.image_shape
        height, width = pyramid.base_grid(*size)
        settings = {"kernel_init": KERNEL_INIT, "dtype": precision.block_dtype(self.dtype, is_low=True)}
        up = {"kernel_size": self.kernel_size, "strides": 2, "padding": (self.kernel_size - 2) // 2, **settings}
        x = Dense(height * width * self.widths[0], **settings, name="base")(z)
        x = x.reshape(-1, height, width, self.widths[0])
        for index, features in enumerate((*self.widths[1:], channels)):
            norm = GeneratorNorm(
                self.norm,
                eps=self.bn_eps,
                momentum=self.bn_momentum,
                hidden=self.hidden,
                shared_hidden=self.shared_hidden,
                name=f"norm{index}",
            )
            x = nn.relu(norm(x, Condition(z=z), train=train))
            height, width = 2 * height, 2 * width
            up = ConvTranspose(
                features, self.kernel_size, 2, (self.kernel_size - 2) // 2, **settings, name=f"up{index}"
            )
            x = up(x)[:, :height, :width]  # Kernels of odd size leave one pixel more.
        return jnp.tanh(precision.at_least_float32(x))


class Discriminator(nn.Module):
    """Convolutions of stride 2 down to the base grid, then a dense layer to as many features as the latent has.

    Variables: params/conv{i}, norm{i} (not after the first), features; batch_stats/norm{i}.

    Attributes:
      z_dim: width of the latent.
      widths: channels of each convolution.
      kernel_size: side of the kernels.
      norm: normalization before each LeakyReLU but the first, one of D_NORMS.
      bn_eps: added to variances.
      bn_momentum: share of a new batch in running statistics.
      dtype: compute type of the convolutions, one of `flaxgan.nn.precision.DTYPES`.
    """

    z_dim: int
    widths: tuple[int, ...]
    kernel_size: int
    norm: str
    bn_eps: float
    bn_momentum: float
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, *, train: bool = False
    ) -> DiscriminatorOutput:
        """Encodes images [N, H, W, C] in [-1, 1]; labels are ignored.

        Returns:
          features z_hat [N, Z] and logits -mean_k z_hat [N], at least float32.
        """
        dtype = precision.block_dtype(self.dtype, is_low=True)
        settings = {"kernel_init": KERNEL_INIT, "dtype": dtype}
        x = images
        for index, features in enumerate(self.widths):
            x = Conv(features, self.kernel_size, 2, "SAME", **settings, name=f"conv{index}")(x)
            if index and self.norm == "batch":
                norm = BatchNorm(eps=self.bn_eps, momentum=self.bn_momentum, name=f"norm{index}")
                x = norm(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        x = precision.at_least_float32(x.reshape(x.shape[0], -1))
        z_hat = Dense(self.z_dim, kernel_init=KERNEL_INIT, name="features")(x)
        return DiscriminatorOutput(-jnp.mean(z_hat, axis=1), z_hat)


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 128,
    channels: int = 64,
    channel_max: int | None = None,
    kernel_size: int = 5,
    g_norm: str = "batch",
    g_norm_hidden: int | None = 32,
    g_norm_shared_hidden: bool = True,
    d_norm: str = "batch",
    bn_eps: float = 1e-3,
    bn_momentum: float = 0.01,
    dtype: str = "float32",
) -> Gan:
    """Builds O-GAN's two networks. The defaults are those of the official code for 128x128 images.

    Args:
      image_shape: (H, W, C): a small base grid (4x4, 4x6, 5x7, ...) times a power of two, and at least 1 channel.
      num_classes: must be 0: the article has no conditional form.
      z_dim: width of the latent z, and of what the discriminator estimates.
      channels: channels before the generator's last layer and after the discriminator's first; halving doubles them ...
      channel_max: ... up to this many; None is without a bound.
      kernel_size: side of the kernels, at least 2: 5, or 4 as in the official code's self-modulated form.
      g_norm: the generator's normalization: 'batch', 'self_modulated', 'layer', 'instance' or 'none'.
      g_norm_hidden: hidden width of self_modulated; None is none. The official code has z_dim, the SELF-MOD paper 32.
      g_norm_shared_hidden: whether self_modulated reads gain and offset from one hidden layer, as in the SELF-MOD
        paper's code, or each from its own, as in O-GAN's.
      d_norm: the discriminator's normalization: 'batch' or 'none'.
      bn_eps: added to the variance in normalizations.
      bn_momentum: share of a new batch in running statistics.
      dtype: compute type of the convolutions: 'float32', 'bfloat16' or 'float16'.

    Returns:
      The Gan, whose discriminator encodes.

    Raises:
      ValueError: naming the field, the value found and the values allowed.
    """
    pyramid.require_buildable(image_shape)
    checks.require(num_classes == 0, "num_classes", num_classes, "0, because this family is unconditional")
    checks.require_integers(2, z_dim=z_dim, kernel_size=kernel_size)
    checks.require_integers(1, channels=channels)
    checks.require_optional_integers(1, channel_max=channel_max, g_norm_hidden=g_norm_hidden)
    checks.require_booleans(g_norm_shared_hidden=g_norm_shared_hidden)
    checks.require_one_of(G_NORMS, g_norm=g_norm)
    checks.require_one_of(D_NORMS, d_norm=d_norm)
    checks.require_positive(bn_eps=bn_eps)
    checks.require_shares(bn_momentum=bn_momentum)
    checks.require_one_of(precision.DTYPES, dtype=dtype)

    num_doublings = len(pyramid.grids(*image_shape[:2])) - 1
    widths = tuple(min(channels * 2**index, channel_max or channels * 2**index) for index in range(num_doublings))
    both = {"kernel_size": kernel_size, "bn_eps": bn_eps, "bn_momentum": bn_momentum, "dtype": dtype}
    generator = Generator(
        image_shape=tuple(image_shape),
        widths=widths[::-1],
        norm=g_norm,
        hidden=g_norm_hidden,
        shared_hidden=g_norm_shared_hidden,
        **both,
    )
    return Gan(
        generator=generator,
        discriminator=Discriminator(z_dim=z_dim, widths=widths, norm=d_norm, **both),
        z_dim=z_dim,
        image_shape=tuple(image_shape),
        num_classes=0,
        d_layers=(*(f"conv{index}" for index in range(num_doublings)), "features"),
        encodes=True,
    )
