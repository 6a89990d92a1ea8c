"""The last layer of a discriminator, optionally with projection on the class embedding."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.nn.layers import XAVIER, Dense, Embed, Initializer, SpectralNorm
from flaxgan.nn.precision import at_least_float32


class ProjectionHead(nn.Module):
    """Computes logit = linear(f) + <E[y], f>, or linear(f) without classes.

    Variables: params linear/kernel [F, 1], linear/bias [1] and embed/embedding [K, F]; with spectral, spectral u and v
    of kernel and embedding. Computes in float32, or in float64 if the features are.

    Attributes:
      num_classes: number of classes K; 0 is unconditional, and labels are then ignored.
      use_bias: whether the linear layer has a bias.
      spectral: spectral normalization of kernel and embedding; None disables it.
      kernel_init: initializer of the kernel of the linear layer.
      embedding_init: initializer of the embedding.

    References:
      Miyato and Koyama 2018, "cGANs with Projection Discriminator", equation 4.
    """

    num_classes: int = 0
    use_bias: bool = True
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = XAVIER
    embedding_init: Initializer = XAVIER

    @nn.compact
    def __call__(self, features: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Maps features [N, F] and labels, int [N] or float [N, K], to logits [N]; train updates u and v.

        Raises:
          FieldError: if there are classes, and labels are missing or have another shape or dtype.
        """
        features = at_least_float32(features)
        linear = Dense(1, self.use_bias, self.spectral, self.kernel_init, name="linear")
        logits = linear(features, train=train)[:, 0]
        if self.num_classes == 0:
            return logits
        embed = Embed(self.num_classes, features.shape[-1], self.spectral, self.embedding_init, name="embed")
        return logits + jnp.sum(embed(labels, train=train) * features, axis=-1)
