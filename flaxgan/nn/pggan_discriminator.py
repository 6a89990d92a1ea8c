"""The discriminator of progressively growing families: a block and an image input for each resolution, an epilogue."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.nn import precision, progressive, pyramid
from flaxgan.nn.equalized import HeConv, HeDense, fir_filter, lrelu_gain
from flaxgan.nn.minibatch_discrimination import MinibatchDiscrimination
from flaxgan.nn.optional_inputs import given
from flaxgan.ops.bias_act import bias_act
from flaxgan.ops.minibatch_stddev import averaged_minibatch_stddev, class_minibatch_stddev, minibatch_stddev
from flaxgan.ops.one_hot import label_vectors
from flaxgan.ops.resampling import blend, box_downsample
from flaxgan.ops.upfirdn import filter2d
from flaxgan.types import DiscriminatorOutput

LABEL_FORMS = ("select", "classify")


class GrowingDiscriminator(nn.Module):
    """A discriminator from images to logits at any stage of progressive growing.

    Submodules, for each resolution r: fromrgb{r}, a 1x1 convolution; b{r}, a `GrowingDiscriminatorBlock`, or a
    `GrowingEpilogue` at the base grid. A call uses the submodules of its stage and below. Initialization must be at the
    last stage, and creates all of them.

    Attributes:
      image_shape: (H, W, C), any size that `flaxgan.nn.pyramid.base_grid` reduces to a small grid.
      num_classes: number of classes K; 0 is unconditional.
      label_form: form of conditioning, see `GrowingEpilogue`.
      channel_base: a grid of resolution r has min(channel_base // r, channel_max) channels.
      channel_max: maximum number of channels of a grid.
      blur_filter: taps of the FIR filter before each downsampling convolution; None disables it.
      pool_after_activation: whether to average pixels after bias and activation instead of before.
      mbstd_averaging: see `GrowingEpilogue`.
      mbstd_group_size: see `GrowingEpilogue`.
      mbstd_num_channels: see `GrowingEpilogue`.
      mbstd_by_class: see `GrowingEpilogue`.
      minibatch_kernels: see `GrowingEpilogue`.
      initializer: "equalized" or "he", see `flaxgan.nn.equalized`.
      dtype: compute type of the highest resolutions; the epilogue is never below float32.
      low_precision_resolutions: number of highest resolutions that use `dtype`.
      remat: whether to recompute each block in the backward pass instead of storing its activations.

    References:
      Karras et al. 2018 (PGGAN), section 2 and table 2; with the blur, Karras et al. 2019 (StyleGAN).
    """

    image_shape: tuple[int, int, int]
    num_classes: int = 0
    label_form: str = "select"
    channel_base: int = 16384
    channel_max: int = 512
    blur_filter: tuple[float, ...] | None = None
    pool_after_activation: bool = False
    mbstd_averaging: str | None = None
    mbstd_group_size: int | None = 4
    mbstd_num_channels: int = 1
    mbstd_by_class: bool = False
    minibatch_kernels: int = 0
    initializer: str = "equalized"
    dtype: str = "float32"
    low_precision_resolutions: int = 4
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool = False,
        stage: int | None = None,
        alpha: float | jax.Array = 1.0,
    ) -> DiscriminatorOutput:
        """Scores images.

        Args:
          images: [N, H, W, C] in [-1, 1], of the size of the stage.
          labels: int32 [N] or float [N, K]; ignored if the network is unconditional.
          train: unused; part of the signature of every family.
          stage: index of the resolution, from 0 for the base grid; None is the last.
          alpha: weight of the block of this stage against the half-size image, a scalar in [0, 1]; may be traced.

        Returns:
          Logits [N] and the features [N, F] of the last hidden layer, float32; with label_form "classify" also the
          class logits [N, K].

        Raises:
          FieldError: on another stage, or on images or labels of another shape.
        """
        del train
        grids = pyramid.grids(*self.image_shape[:2])
        stage = progressive.stage_index(stage, grids)
        progressive.require_stage_images(images, grids[stage], self.image_shape[2])
        block_class = nn.remat(GrowingDiscriminatorBlock) if self.remat else GrowingDiscriminatorBlock
        low = progressive.low_grids(grids, self.low_precision_resolutions)
        x: Any = None  # Features, from the first image input on.
        image = images
        for index in range(stage, -1, -1):
            resolution = pyramid.resolution(grids[index])
            dtype = precision.block_dtype(self.dtype, is_low=resolution in low)
            if progressive.shows_image(index, stage, alpha) or self.is_initializing():
                entering = _lrelu(self._from_rgb(grids[index], dtype)(image))
                # During initialization, image inputs below the last stage are created, but their results are not used.
                x = entering if x is None else blend(entering, x.astype(entering.dtype), alpha)
            image = box_downsample(image) if index > 0 else image
            if index == 0:
                break
            x = block_class(
                self._channels(grids[index]),
                self._channels(grids[index - 1]),
                blur_filter=self.blur_filter,
                pool_after_activation=self.pool_after_activation,
                initializer=self.initializer,
                dtype=dtype,
                name=f"b{resolution}",
            )(x)
        return self._epilogue(grids[0])(x, label_vectors(labels, self.num_classes))

    @property
    def layers(self) -> tuple[str, ...]:
        """Parameter paths of the layers that freeze-D can freeze at full size, from the image on."""
        top, *_ = grids = pyramid.grids(*self.image_shape[:2])[::-1]
        blocks = [f"b{pyramid.resolution(grid)}/{layer}" for grid in grids[:-1] for layer in ("conv0", "conv1")]
        return (f"fromrgb{pyramid.resolution(top)}", *blocks)

    def _from_rgb(self, grid: tuple[int, int], dtype: str | None) -> HeConv:
        gain, name = lrelu_gain(self.initializer), f"fromrgb{pyramid.resolution(grid)}"
        return HeConv(self._channels(grid), 1, gain=gain, initializer=self.initializer, dtype=dtype, name=name)

    def _epilogue(self, base: tuple[int, int]) -> "GrowingEpilogue":
        return GrowingEpilogue(
            self._channels(base),
            min(2 * self.channel_base // pyramid.resolution(base), self.channel_max),
            num_classes=self.num_classes,
            label_form=self.label_form,
            mbstd_averaging=self.mbstd_averaging,
            mbstd_group_size=self.mbstd_group_size,
            mbstd_num_channels=self.mbstd_num_channels,
            mbstd_by_class=self.mbstd_by_class,
            minibatch_kernels=self.minibatch_kernels,
            initializer=self.initializer,
            name=f"b{pyramid.resolution(base)}",
        )

    def _channels(self, grid: tuple[int, int]) -> int:
        return pyramid.channels(grid, self.channel_base, self.channel_max)


class GrowingDiscriminatorBlock(nn.Module):
    """One resolution of the discriminator: two convolutions and downsampling by 2.

    Submodules: conv0, conv1.

    Attributes:
      hidden_features: channels at the input's resolution.
      features: output channels O.
      blur_filter: taps of the FIR filter before conv1; None disables it.
      pool_after_activation: whether to average pixels after bias and activation instead of before.
      initializer: "equalized" or "he".
      dtype: compute type; None is the promoted type of inputs and parameters.
    """

    hidden_features: int
    features: int
    blur_filter: tuple[float, ...] | None = None
    pool_after_activation: bool = False
    initializer: str = "equalized"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, H/2, W/2, O]."""
        options: dict[str, Any] = {
            "gain": lrelu_gain(self.initializer),
            "initializer": self.initializer,
            "dtype": self.dtype,
        }
        x = _lrelu(HeConv(self.hidden_features, **options, name="conv0")(x))
        if self.blur_filter is not None:
            x = filter2d(x, fir_filter(self.blur_filter))
        if self.pool_after_activation:
            return box_downsample(_lrelu(HeConv(self.features, **options, name="conv1")(x)))
        return _lrelu(HeConv(self.features, **options, down=2, name="conv1")(x))


class GrowingEpilogue(nn.Module):
    """The end of the discriminator at its base grid, computed in at least float32.

    Submodules: conv; fc, whose input is [H, W, C] with channels last; similarity, with minibatch_kernels; out.

    Attributes:
      features: channels of the input and of conv.
      fc_features: width F of the last hidden layer.
      num_classes: number of classes K; 0 is unconditional.
      label_form: "select" has K outputs, and the logit is the output of the image's class (StyleGAN); "classify" has a
        logit that does not depend on the labels, and K class logits (AC-GAN, as in PGGAN).
      mbstd_averaging: averaging of the minibatch standard deviation, see `averaged_minibatch_stddev`; None uses groups,
        with the next two fields.
      mbstd_group_size: images in a group; None is the whole batch.
      mbstd_num_channels: number of channels of the standard deviation of groups; 0 disables it.
      mbstd_by_class: whether the groups are the classes of the batch, see `class_minibatch_stddev`.
      minibatch_kernels: number of similarities that minibatch discrimination appends to the last hidden layer.
      initializer: "equalized" or "he".

    References:
      Karras et al. 2018 (PGGAN), section 3 and appendix A.1; "select" is that of Mescheder et al. 2018.
    """

    features: int
    fc_features: int
    num_classes: int = 0
    label_form: str = "select"
    mbstd_averaging: str | None = None
    mbstd_group_size: int | None = 4
    mbstd_num_channels: int = 1
    mbstd_by_class: bool = False
    minibatch_kernels: int = 0
    initializer: str = "equalized"

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None) -> DiscriminatorOutput:
        """Scores features.

        Args:
          x: features [N, H, W, features].
          labels: one-hot [N, K]; None without classes.

        Raises:
          FieldError: on another label_form, or if labels are missing.
        """
        x = self._with_stddev(precision.at_least_float32(x), labels)
        options: dict[str, Any] = {"gain": lrelu_gain(self.initializer), "initializer": self.initializer}
        x = _lrelu(HeConv(self.features, **options, name="conv")(x))
        x = x.reshape(x.shape[0], -1)  # [N, H, W, C] -> [N, H W C]
        features = _lrelu(HeDense(self.fc_features, **options, name="fc")(x))
        x = features
        if self.minibatch_kernels > 0:
            x = MinibatchDiscrimination(self.minibatch_kernels, name="similarity")(x)
        outputs = {"select": max(self.num_classes, 1), "classify": 1 + self.num_classes}
        if self.label_form not in LABEL_FORMS:
            raise FieldError("label_form", self.label_form, ", ".join(LABEL_FORMS))
        y = HeDense(outputs[self.label_form], gain=1.0, initializer=self.initializer, name="out")(x)
        if self.num_classes == 0:
            return DiscriminatorOutput(y[:, 0], features)
        if self.label_form == "select":
            return DiscriminatorOutput(jnp.sum(y * given("labels", labels, "one-hot [N, K]"), axis=1), features)
        return DiscriminatorOutput(y[:, 0], features, y[:, 1:])

    def _with_stddev(self, x: jax.Array, labels: jax.Array | None) -> jax.Array:
        if self.mbstd_averaging is not None:
            return averaged_minibatch_stddev(x, averaging=self.mbstd_averaging)
        if self.mbstd_num_channels == 0:
            return x
        if self.mbstd_by_class:
            classes = given("labels", labels, "one-hot [N, K] with mbstd_by_class")
            return class_minibatch_stddev(x, classes, num_channels=self.mbstd_num_channels)
        return minibatch_stddev(x, group_size=self.mbstd_group_size, num_channels=self.mbstd_num_channels)


def _lrelu(x: jax.Array) -> jax.Array:
    """Applies a leaky ReLU of slope 0.2, whose gain is in the weights."""
    return bias_act(x, activation="lrelu", gain=1.0)
