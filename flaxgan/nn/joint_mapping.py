"""StyleGAN's mapping network, which normalizes latents and labels together."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.nn.equalized import HeDense, lrelu_gain
from flaxgan.nn.mapping import MappingNetwork, checked_latents
from flaxgan.ops.bias_act import bias_act
from flaxgan.ops.one_hot import class_vectors
from flaxgan.ops.pixel_norm import normalize_2nd_moment


class JointMappingNetwork(MappingNetwork):
    """A `MappingNetwork` in the form of the first StyleGAN.

    Labels are multiplied by the parameter embed [K, embed_features (None: z_dim)], which is drawn from N(0, 1) and not
    scaled. z and the result are concatenated and normalized as one vector. The weights of the layers include the gain
    of the activation, a leaky ReLU.

    Attributes:
      initializer: "equalized" or "he", see `flaxgan.nn.equalized`.

    References:
      Karras et al. 2019 (StyleGAN), section 2; G_mapping of the official code.
    """

    initializer: str = "equalized"

    def _inputs(self, z: jax.Array | None, labels: jax.Array | None) -> jax.Array:
        x = checked_latents(z, self.z_dim)
        if self.num_classes > 0:
            features = self.z_dim if self.embed_features is None else self.embed_features
            embed = self.param("embed", nn.initializers.normal(1.0), (self.num_classes, features), jnp.float32)
            x = jnp.concatenate([x, class_vectors(labels, self.num_classes) @ embed], axis=-1)
        return normalize_2nd_moment(x)

    def _layer(self, x: jax.Array, features: int, name: str) -> jax.Array:
        options: dict[str, Any] = {"lr_multiplier": self.lr_multiplier, "initializer": self.initializer}
        x = HeDense(features, gain=lrelu_gain(self.initializer), **options, name=name)(x)
        return bias_act(x, activation="lrelu", gain=1.0)
