"""Types that all layers of the library share."""

import dataclasses
from typing import NamedTuple

import jax
from flax import linen as nn


class DiscriminatorOutput(NamedTuple):
    """The output of a discriminator.

    Attributes:
      logits: realness score of each image, float32 [N].
      features: features that the score is computed from, [N, F], or None for families without them.
      class_logits: logits of the classes, [N, K], for a discriminator that also classifies images (AC-GAN); else None.
    """

    logits: jax.Array
    features: jax.Array | None = None
    class_logits: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Gan:
    """A pair of networks for the trainer: two Linen modules and their shapes.

    The generator is called as `generator(z, labels, train=...)` and returns images float32 [N, H, W, C] in [-1, 1];
    a style-based generator also has the methods `map(z, labels, ...) -> ws [N, L, D]` and `synthesize(ws, ...)`.
    The discriminator is called as `discriminator(images, labels, train=...)` and returns a `DiscriminatorOutput`.

    Attributes:
      generator: the generator module.
      discriminator: the discriminator module.
      z_dim: width of the latent z.
      image_shape: (H, W, C) in pixels and channels.
      num_classes: number of classes of the labels; 0 for an unconditional GAN, which ignores labels.
      d_layers: parameter paths ("b256/conv0") of the discriminator's layers from image to logit; freeze-D freezes them
        in this order.
      stages: (H, W) of the images in each stage of progressive growing, the full size last; empty for networks that do
        not grow. Growing networks take the keywords `stage`, a static index (None is the last stage), and `alpha`,
        the weight of the newest block, a traced number.
      encodes: whether the discriminator's features estimate the latent z of an image.
    """

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    image_shape: tuple[int, int, int]
    num_classes: int
    d_layers: tuple[str, ...] = ()
    stages: tuple[tuple[int, int], ...] = ()
    encodes: bool = False

    @property
    def has_style(self) -> bool:
        """Whether the generator is a mapping network followed by a synthesis network."""
        return hasattr(self.generator, "map") and hasattr(self.generator, "synthesize")
