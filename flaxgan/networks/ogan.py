"""O-GAN, a DCGAN whose discriminator is also an encoder.

The features E(x) of the discriminator estimate the latent of an image, and its score is their mean over the latent
axis. The encoder of the official code minimizes the mean of E(real) - E(fake). The logit here is therefore -mean E(x):
reals score higher, and the loss `wasserstein` is that of the paper. With the regularizer `latent_correlation` in the
losses of both networks, `flaxgan.train.evaluation.reconstruction` inverts the generator.

References:
  Su 2019, "O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks"; the networks are those
  of its official code, which follow Radford et al. 2016 (DCGAN).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.networks import _checks as checks
from flaxgan.networks import _classic_fields as fields
from flaxgan.networks import dcgan
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Conv, Dense
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.precision import at_least_float32
from flaxgan.types import DiscriminatorOutput, Gan

_INIT = nn.initializers.normal(0.02)


class Discriminator(nn.Module):
    """Convolutions of stride 2 with LeakyReLU, then a dense layer to features of the width of the latent.

    Submodules: conv1, conv2, norm2, conv3, norm3, ..., features.

    Attributes:
      image_shape: (H, W, C).
      z_dim: width Z of the latent.
      channels: channels of the convolutions.
      kernel_size: side of their kernels, 4 or 5.
      norm: the normalization after each convolution but the first.
      negative_slope: slope of the LeakyReLU below 0.
      dtype: compute type of the convolutions; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    z_dim: int
    channels: tuple[int, ...]
    kernel_size: int = 5
    norm: NormConfig = NormConfig()
    negative_slope: float = 0.2
    dtype: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, *, train: bool = False
    ) -> DiscriminatorOutput:
        """Encodes images.

        Args:
          images: float [N, H, W, C] in [-1, 1].
          labels: ignored.
          train: whether to use the statistics of the batch; "batch_stats" must then be mutable.

        Returns:
          Features z_hat [N, Z] and logits -mean_k z_hat [N], at least float32.

        Raises:
          FieldError: if the images have another shape.
        """
        fields.require_images(images, self.image_shape)
        x = images
        settings: dict[str, Any] = {"strides": 2, "padding": "SAME", "kernel_init": _INIT, "dtype": self.dtype}
        for index, channels in enumerate(self.channels, start=1):
            x = Conv(channels, self.kernel_size, **settings, name=f"conv{index}")(x)
            if index > 1:
                x = self.norm.layer(f"norm{index}")(x, Condition(), train=train)
            x = nn.leaky_relu(x, self.negative_slope)
        x = at_least_float32(x).reshape(x.shape[0], -1)  # [N, H W C]
        z_hat = Dense(self.z_dim, kernel_init=_INIT, name="features")(x)
        return DiscriminatorOutput(-jnp.mean(z_hat, axis=1), z_hat)

    @property
    def layers(self) -> tuple[str, ...]:
        """Parameter paths of the layers that freeze-D can freeze, from the image on."""
        return (*(f"conv{index}" for index in range(1, len(self.channels) + 1)), "features")


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 128,
    levels: int | None = None,
    kernel_size: int = 5,
    channels: int = 64,
    channels_max: int = 2048,
    g_norm: str = "batch",
    hidden: int | None = 32,
    shared_hidden: bool = True,
    d_norm: str = "batch",
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
    dtype: str = "float32",
) -> Gan:
    """Builds the networks of O-GAN. The defaults are those of the official code for 128x128 images.

    Neither the paper nor its code has a conditional form. For self-modulation, the official code of O-GAN has hidden
    layers of width z_dim, one each for gain and offset (shared_hidden=False), the paper of SELF-MOD a shared one of
    width 32.

    Args:
      image_shape: (H, W, C), with sides that can be halved `levels` times.
      num_classes: number of classes; must be 0.
      z_dim: width of the latent z and of its estimate by the discriminator.
      levels: number of times that each network halves or doubles the grid; None reaches about 4x4.
      kernel_size: side of the kernels of stride 2: 5, or 4 as in the official code's self-modulated form.
      channels: channels of D's first and G's last hidden layer, doubled at each halving of the grid.
      channels_max: maximum number of channels of both networks.
      g_norm: normalization of the generator: 'batch', 'self_modulated', 'layer', 'instance' or 'none'.
      hidden: width of the hidden layers of self-modulation; None has no hidden layers.
      shared_hidden: True computes gain and offset of self-modulation from one hidden layer, False from one each.
      d_norm: normalization of the discriminator: 'batch', 'none', 'layer' or 'instance'.
      norm_eps: epsilon added to variances.
      norm_momentum: weight of the new batch in running statistics; short runs need a larger weight.
      dtype: compute type of the layers: 'float32' or 'bfloat16'.

    Returns:
      The Gan, whose discriminator is also an encoder.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    checks.require(num_classes == 0, "num_classes", num_classes, "0, because this family is unconditional")
    levels = fields.checked_levels("levels", levels, image_shape)
    checks.require_integers(2, z_dim=z_dim)
    checks.require_integers(1, channels=channels, channels_max=channels_max)
    checks.require(kernel_size in (4, 5), "kernel_size", kernel_size, "4, 5")
    checks.require_booleans(shared_hidden=shared_hidden)
    checks.require_one_of(fields.D_NORMS, d_norm=d_norm)
    statistics: dict[str, Any] = {"eps": norm_eps, "momentum": norm_momentum, "unbiased": True}
    norm = fields.checked_norm(g_norm, 0, **statistics, hidden=hidden)
    widths = fields.doubling(channels, channels_max, levels)
    image_shape = checks.shape_of(image_shape)
    both: dict[str, Any] = {
        "image_shape": image_shape,
        "kernel_size": kernel_size,
        "dtype": fields.compute_dtype(dtype),
    }
    discriminator = Discriminator(z_dim=z_dim, channels=widths, norm=NormConfig(d_norm, **statistics), **both)
    return Gan(
        generator=dcgan.Generator(
            channels=widths[::-1],
            use_bias=True,
            norm=dataclasses.replace(norm, shared_hidden=shared_hidden),
            **both,
        ),
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=image_shape,
        num_classes=0,
        d_layers=discriminator.layers,
        encodes=True,
    )
