"""StyleGAN2's discriminator: one block for each resolution, and an epilogue."""

import math
from typing import Any

import jax
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn import precision, pyramid
from flaxgan.nn.equalized import EqualizedConv, FullyConnected, fir_filter
from flaxgan.nn.mapping import MappingNetwork
from flaxgan.nn.optional_inputs import given
from flaxgan.ops.minibatch_stddev import class_minibatch_stddev, minibatch_stddev
from flaxgan.ops.one_hot import label_vectors
from flaxgan.ops.upfirdn import downsample2d
from flaxgan.types import DiscriminatorOutput

ARCHITECTURES = ("resnet", "skip", "orig")


class Discriminator(nn.Module):
    """Maps images to logits with one block for each halving of the resolution and an epilogue at the base grid.

    Submodules: b{r}, a `DiscriminatorBlock` at each resolution r above the base grid, and a `DiscriminatorEpilogue` at
    the base grid; mapping, which projects labels.

    Attributes:
      image_shape: (H, W, C), see `SynthesisNetwork`.
      mapping: mapping network of labels only (z_dim 0, num_ws None), whose w_dim is the width of the label projection;
        None is unconditional.
      channel_base: a grid of resolution r has min(channel_base // r, channel_max) channels.
      channel_max: maximum number of channels of a grid.
      architecture: 'resnet', 'skip' or 'orig', see `DiscriminatorBlock`.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      epilogue_activation: activation of the epilogue; None is that of the blocks.
      resample_filter: taps of the FIR filter for resampling.
      conv_clamp: bound on the magnitude of the outputs of layers; None is unbounded.
      mbstd_group_size: group size of the minibatch standard deviation; None is the whole batch.
      mbstd_num_channels: number of channels of the minibatch standard deviation; 0 disables it.
      mbstd_by_class: whether the groups are the classes of the batch, see `class_minibatch_stddev`.
      dtype: compute type of the highest resolutions, see `SynthesisNetwork`; the epilogue is float32.
      low_precision_resolutions: number of highest resolutions that use `dtype`.
      remat: whether to recompute each block in the backward pass instead of storing its activations.
    """

    image_shape: tuple[int, int, int]
    mapping: MappingNetwork | None = None
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "resnet"
    activation: str = "lrelu"
    epilogue_activation: str | None = None
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    mbstd_group_size: int | None = 4
    mbstd_num_channels: int = 1
    mbstd_by_class: bool = False
    dtype: str = "float32"
    low_precision_resolutions: int = 4
    remat: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, *, train: bool = False
    ) -> DiscriminatorOutput:
        """Scores images.

        Args:
          images: [N, H, W, C] in [-1, 1].
          labels: int32 [N] or float [N, K]; ignored if the network is unconditional.
          train: unused; part of the signature of every family.

        Returns:
          Logits [N] and the features [N, F] of the last hidden layer, float32.

        Raises:
          FieldError: if the images do not have image_shape, or on labels of another shape.
        """
        del train
        if images.ndim != 4 or images.shape[1:] != tuple(self.image_shape):
            allowed = f"[N, {', '.join(map(str, self.image_shape))}]"
            raise FieldError("images", Words(f"shape {images.shape}"), allowed)
        cmap = None if self.mapping is None else self.mapping(None, labels)
        block_class = nn.remat(DiscriminatorBlock) if self.remat else DiscriminatorBlock
        *block_grids, base = self._grids()
        x: Any = None  # Features, from the first block on.
        image: jax.Array | None = images
        for index, (grid, next_grid) in enumerate(zip(block_grids, [*block_grids[1:], base])):
            block = block_class(
                self._channels(grid),
                self._channels(next_grid),
                is_first=index == 0,
                architecture=self.architecture,
                activation=self.activation,
                resample_filter=self.resample_filter,
                conv_clamp=self.conv_clamp,
                dtype=precision.block_dtype(self.dtype, is_low=index < self.low_precision_resolutions),
                name=f"b{pyramid.resolution(grid)}",
            )
            x, image = block(x, image)
        epilogue = DiscriminatorEpilogue(
            self._channels(base),
            cmap_features=0 if self.mapping is None else self.mapping.w_dim,
            architecture=self.architecture,
            activation=self.activation if self.epilogue_activation is None else self.epilogue_activation,
            conv_clamp=self.conv_clamp,
            mbstd_group_size=self.mbstd_group_size,
            mbstd_num_channels=self.mbstd_num_channels,
            name=f"b{pyramid.resolution(base)}",
        )
        classes = None
        if self.mbstd_by_class:
            mapping = given("mapping", self.mapping, "a mapping network of labels with mbstd_by_class")
            classes = label_vectors(labels, mapping.num_classes)
        return DiscriminatorOutput(*epilogue(x, image, cmap, classes))

    @property
    def layers(self) -> tuple[str, ...]:
        """Parameter paths of the layers that freeze-D can freeze, those of the blocks from the image on."""
        return tuple(
            f"b{pyramid.resolution(grid)}/{layer}"
            for index, grid in enumerate(self._grids()[:-1])
            for layer in layer_names(self.architecture, is_first=index == 0)
        )

    def _grids(self) -> tuple[tuple[int, int], ...]:
        """Returns the grids from the image's own to the base grid."""
        return pyramid.grids(*self.image_shape[:2])[::-1]

    def _channels(self, grid: tuple[int, int]) -> int:
        return pyramid.channels(grid, self.channel_base, self.channel_max)


def layer_names(architecture: str, *, is_first: bool) -> tuple[str, ...]:
    """Returns the names of the layers of a `DiscriminatorBlock`, in the order in which freeze-D freezes them."""
    fromrgb = ("fromrgb",) if is_first or architecture == "skip" else ()
    skip = ("skip",) if architecture == "resnet" else ()
    return (*fromrgb, "conv0", "conv1", *skip)


class DiscriminatorBlock(nn.Module):
    """One resolution of the discriminator: optional RGB input, two convolutions and downsampling by 2.

    Submodules: fromrgb, in the first block, and in all blocks with 'skip'; conv0; conv1; skip, with 'resnet'.

    Attributes:
      hidden_features: channels at the input's resolution.
      features: output channels O.
      is_first: whether this is the block of the image's own resolution.
      architecture: 'resnet' has residual blocks, 'skip' an RGB input at every resolution, 'orig' neither.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      resample_filter: taps of the FIR filter for resampling.
      conv_clamp: bound on the magnitude of the outputs of layers; None is unbounded.
      dtype: compute type; None is the promoted type of inputs and parameters.

    References:
      Karras et al. 2020b (StyleGAN2), figure 7.
    """

    hidden_features: int
    features: int
    is_first: bool = False
    architecture: str = "resnet"
    activation: str = "lrelu"
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array | None, image: jax.Array | None) -> tuple[jax.Array, jax.Array | None]:
        """Halves the resolution of features and image.

        Args:
          x: features [N, H, W, hidden_features]; None in the first block.
          image: [N, H, W, C] in blocks with RGB input, else None.

        Returns:
          (x, image): features [N, H/2, W/2, O], and the image [N, H/2, W/2, C] with 'skip', else None.

        Raises:
          FieldError: if the block needs an input that is missing.
        """
        if "fromrgb" in layer_names(self.architecture, is_first=self.is_first):
            image = given("image", image, "[N, H, W, C] in blocks with RGB input")
            y = self._conv("fromrgb", self.hidden_features, kernel_size=1)(image)
            x = y if x is None else x.astype(y.dtype) + y
        x = given("x", x, "features [N, H, W, C] in blocks without RGB input")
        if image is not None and self.architecture == "skip":
            image = downsample2d(image.astype(x.dtype), fir_filter(self.resample_filter))
        else:
            image = None
        conv0 = self._conv("conv0", self.hidden_features)
        conv1 = self._conv("conv1", self.features, down=2)
        if self.architecture != "resnet":
            return conv1(conv0(x)), image
        skip = EqualizedConv(
            self.features,
            kernel_size=1,
            use_bias=False,
            down=2,
            resample_filter=self.resample_filter,
            dtype=self.dtype,
            name="skip",
        )
        return skip(x, gain=math.sqrt(0.5)) + conv1(conv0(x), gain=math.sqrt(0.5)), image

    def _conv(self, name: str, features: int, *, kernel_size: int = 3, down: int = 1) -> EqualizedConv:
        return EqualizedConv(
            features,
            kernel_size=kernel_size,
            activation=self.activation,
            down=down,
            resample_filter=self.resample_filter,
            conv_clamp=self.conv_clamp,
            dtype=self.dtype,
            name=name,
        )


class DiscriminatorEpilogue(nn.Module):
    """The end of the discriminator at its base grid: minibatch standard deviation, convolution, dense, logit.

    Submodules: fromrgb, with 'skip'; conv; fc, whose input is [H, W, C] with channels last; out. Computes in at least
    float32.

    Attributes:
      features: channels of the input and of the hidden layers.
      cmap_features: width M of the label projection; 0 is unconditional.
      architecture: see `DiscriminatorBlock`.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      conv_clamp: bound on the magnitude of the output of the convolution; None is unbounded.
      mbstd_group_size: group size of the minibatch standard deviation; None is the whole batch.
      mbstd_num_channels: number of channels of the minibatch standard deviation; 0 disables it.

    References:
      Karras et al. 2018 (PGGAN), section 3; the projection of Miyato and Koyama 2018, with both factors learned.
    """

    features: int
    cmap_features: int = 0
    architecture: str = "resnet"
    activation: str = "lrelu"
    conv_clamp: float | None = None
    mbstd_group_size: int | None = 4
    mbstd_num_channels: int = 1

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        image: jax.Array | None = None,
        cmap: jax.Array | None = None,
        classes: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Scores features.

        Args:
          x: features [N, H, W, features].
          image: [N, H, W, C] with 'skip', else None.
          cmap: projected labels [N, M], or None if cmap_features is 0.
          classes: one-hot labels [N, K] that define the groups of the minibatch standard deviation, or None.

        Returns:
          (logits [N], features [N, features] from which they are computed), float32.

        Raises:
          FieldError: if image or cmap is needed and missing.
        """
        x = precision.at_least_float32(x)
        if self.architecture == "skip":
            fromrgb = EqualizedConv(self.features, kernel_size=1, activation=self.activation, name="fromrgb")
            x = x + fromrgb(precision.at_least_float32(given("image", image, "[N, H, W, C] with 'skip'")))
        if self.mbstd_num_channels > 0 and classes is not None:
            x = class_minibatch_stddev(x, classes, num_channels=self.mbstd_num_channels)
        elif self.mbstd_num_channels > 0:
            x = minibatch_stddev(x, group_size=self.mbstd_group_size, num_channels=self.mbstd_num_channels)
        conv = EqualizedConv(
            self.features, kernel_size=3, activation=self.activation, conv_clamp=self.conv_clamp, name="conv"
        )
        x = conv(x)
        x = x.reshape(x.shape[0], -1)  # [N, H, W, C] -> [N, H W C]
        x = FullyConnected(self.features, activation=self.activation, name="fc")(x)
        y = FullyConnected(self.cmap_features or 1, name="out")(x)
        if self.cmap_features == 0:
            return y[:, 0], x
        cmap = given("cmap", cmap, f"projected labels [N, {self.cmap_features}]")
        return (y * cmap).sum(axis=1) / math.sqrt(self.cmap_features), x
