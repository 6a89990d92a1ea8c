"""The networks of SAGAN and BigGAN: residual blocks with self-attention between them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn import pyramid
from flaxgan.nn.attention import SelfAttention
from flaxgan.nn.biggan_blocks import DeepDiscriminatorBlock, DeepGeneratorBlock, VectorNormConfig
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Conv, Dense, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.precision import at_least_float32
from flaxgan.nn.projection import ProjectionHead
from flaxgan.nn.residual import DiscriminatorBlock, GeneratorBlock, kernel_init
from flaxgan.types import DiscriminatorOutput


class GeneratorBody(nn.Module):
    """Maps latents to images: a dense layer to the base grid, a block for each doubling, norm, ReLU, 3x3, tanh.

    Submodules: base; block{i} from 1, or block{i}_{j} in BigGAN-deep; attention{i}, after block i; norm; output.

    Attributes:
      image_shape: (H, W, C), a base grid times a power of two.
      channels: channels of each grid, the base grid first.
      norm: the normalization; the last one ignores classes.
      attention: indices, from 0, of the blocks before a self-attention layer.
      upsampling: method of `flaxgan.ops.upsampling.upsample`.
      depth: number of BigGAN-deep blocks for each doubling, the last of which doubles; 0 uses plain blocks.
      spectral: spectral normalization of dense layer, convolutions and attention; None disables it.
      initializer: initializer of their kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
      dtype: compute type; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    norm: NormConfig | VectorNormConfig = NormConfig()
    attention: tuple[int, ...] = ()
    upsampling: str = "nearest"
    depth: int = 0
    spectral: SpectralNorm | None = None
    initializer: str = "orthogonal"
    dtype: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, conditions: Sequence[Condition], *, train: bool = False) -> jax.Array:
        """Generates images.

        Args:
          z: [N, Z], input of the dense layer.
          conditions: conditions of the norms of each block; the last norm takes the last condition.
          train: whether to use the statistics of the batch; "batch_stats" and "spectral" must then be mutable.

        Returns:
          Images [N, H, W, C] in [-1, 1], at least float32.
        """
        height, width = pyramid.base_grid(*self.image_shape[:2])
        first, *others = self.channels
        layer: dict[str, Any] = {
            "spectral": self.spectral,
            "kernel_init": kernel_init(self.initializer),
            "dtype": self.dtype,
        }
        x = Dense(height * width * first, **layer, name="base")(z, train=train)
        x = x.reshape(-1, height, width, first)
        for index, (features, condition) in enumerate(zip(others, conditions, strict=True)):
            for block in self._blocks(index, x.shape[-1], features):
                x = block(x, condition, train=train)  # [N, 2 H, 2 W, features] after the last
            if index in self.attention:
                x = SelfAttention(**layer, name=f"attention{index + 1}")(x, train=train)
        x = nn.relu(self.norm.without_classes().layer("norm")(x, conditions[-1], train=train))
        x = Conv(self.image_shape[2], **layer, name="output")(x, train=train)
        return jnp.tanh(at_least_float32(x))

    def _blocks(self, index: int, inputs: int, features: int) -> list[GeneratorBlock | DeepGeneratorBlock]:
        """Returns the block or blocks between two grids."""
        both: dict[str, Any] = {
            "norm": self.norm,
            "spectral": self.spectral,
            "initializer": self.initializer,
            "dtype": self.dtype,
        }
        name = f"block{index + 1}"
        if self.depth == 0:
            return [GeneratorBlock(features, upsampling=self.upsampling, **both, name=name)]
        last = DeepGeneratorBlock(features, upsampling=self.upsampling, **both, name=f"{name}_{self.depth}")
        before = range(1, self.depth)
        return [*(DeepGeneratorBlock(inputs, upsampling=None, **both, name=f"{name}_{j}") for j in before), last]


class Discriminator(nn.Module):
    """Maps images to logits: residual blocks, ReLU, the sum over all pixels, and a linear layer with projection.

    Submodules: block{i} from 1, or stem and block{i}_{j} in BigGAN-deep; attention{i}, after block i; head.

    Attributes:
      image_shape: (H, W, C).
      channels: channels of each block; in BigGAN-deep, of the stem (a 3x3 convolution) and of each group of blocks.
      downsamples: number of first blocks (groups) that halve the grid.
      num_classes: number of classes of the projection; 0 has none, and labels are then ignored.
      attention: indices, from 0, of the blocks (groups) before a self-attention layer.
      hidden_channels: channels between the convolutions of each block; None is those of its output.
      activated_shortcut: whether shortcuts take the input after the ReLU, as where a ReLU overwrites its input.
      depth: number of BigGAN-deep blocks in a group, the first of which halves; 0 uses plain blocks.
      spectral: spectral normalization of all kernels; None disables it.
      initializer: initializer of the kernels, one of `flaxgan.nn.residual.INITIALIZERS`.
      dtype: compute type of the blocks; None is the promoted type of input and parameters.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    downsamples: int
    num_classes: int = 0
    attention: tuple[int, ...] = ()
    hidden_channels: tuple[int, ...] | None = None
    activated_shortcut: bool = False
    depth: int = 0
    spectral: SpectralNorm | None = None
    initializer: str = "orthogonal"
    dtype: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, *, train: bool = False
    ) -> DiscriminatorOutput:
        """Scores images.

        Args:
          images: [N, H, W, C] in [-1, 1].
          labels: int32 [N] or float [N, K]; ignored without classes.
          train: whether to update spectral normalization; "spectral" must then be mutable.

        Returns:
          Logits [N], and the features [N, F] from which the head computes them, at least float32.

        Raises:
          FieldError: if the images do not have image_shape, or labels are missing.
        """
        if images.ndim != 4 or images.shape[1:] != tuple(self.image_shape):
            allowed = f"[N, {', '.join(map(str, self.image_shape))}]"
            raise FieldError("images", Words(f"shape {images.shape}"), allowed)
        init = kernel_init(self.initializer)
        layer: dict[str, Any] = {"spectral": self.spectral, "kernel_init": init, "dtype": self.dtype}
        x = images
        if self.depth:
            x = Conv(self.channels[0], **layer, name="stem")(x, train=train)
        for index in range(len(self._group_channels)):
            for block in self._blocks(index):
                x = block(x, train=train)
            if index in self.attention:
                x = SelfAttention(**layer, name=f"attention{index + 1}")(x, train=train)
        features = jnp.sum(at_least_float32(nn.relu(x)), axis=(1, 2))  # [N, F]
        head = ProjectionHead(
            self.num_classes, spectral=self.spectral, kernel_init=init, embedding_init=init, name="head"
        )
        return DiscriminatorOutput(head(features, labels, train=train), features)

    def _blocks(self, index: int) -> list[DiscriminatorBlock | DeepDiscriminatorBlock]:
        """Returns the block, or the group of blocks."""
        both: dict[str, Any] = {"activated_shortcut": self.activated_shortcut, "spectral": self.spectral}
        both |= {"initializer": self.initializer, "dtype": self.dtype}
        features, downsample = self._group_channels[index], index < self.downsamples
        name = f"block{index + 1}"
        if self.depth == 0:
            hidden = features if self.hidden_channels is None else self.hidden_channels[index]
            return [DiscriminatorBlock(features, hidden, downsample, activates_input=index > 0, **both, name=name)]
        return [
            DeepDiscriminatorBlock(features, downsample and j == 1, **both, name=f"{name}_{j}")
            for j in range(1, self.depth + 1)
        ]

    @property
    def _group_channels(self) -> tuple[int, ...]:
        return self.channels[1:] if self.depth else self.channels

    @property
    def layers(self) -> tuple[str, ...]:
        """Parameter paths of the layers, from image to logit; an attention layer counts as one."""
        inputs, convs = self.image_shape[2], ["conv1", "conv2"]
        paths = ["stem"] if self.depth else []
        if self.depth:
            inputs, convs = self.channels[0], ["conv1", "conv2", "conv3", "conv4"]
        for index, features in enumerate(self._group_channels):
            for position in range(max(self.depth, 1)):
                widens = features != inputs or (not self.depth and index < self.downsamples)
                name = f"block{index + 1}_{position + 1}" if self.depth else f"block{index + 1}"
                paths += [f"{name}/{layer}" for layer in [*convs, *(["shortcut"] if widens else [])]]
                inputs = features
            paths += [f"attention{index + 1}"] if index in self.attention else []
        return tuple(paths)
