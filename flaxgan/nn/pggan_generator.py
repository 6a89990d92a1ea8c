"""PGGAN's generator: convolutions with a normalization of each pixel, and an image output at each resolution."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.nn import precision, progressive, pyramid
from flaxgan.nn.equalized import HeConv, HeDense, lrelu_gain
from flaxgan.ops.bias_act import bias_act
from flaxgan.ops.lrn import local_response_norm
from flaxgan.ops.one_hot import label_vectors
from flaxgan.ops.pixel_norm import normalize_2nd_moment
from flaxgan.ops.resampling import blend, nearest_upsample

NORMS = ("pixel", "local_response", "none")
OUTPUTS = ("linear", "tanh")


@dataclasses.dataclass(frozen=True)
class PixelNorm:
    """Normalization of the channels of a pixel, without parameters.

    Attributes:
      kind: "pixel" scales all channels to a mean square of 1; "local_response" scales each by its neighbours; "none".
      size: window of local response normalization in channels; None is all, which equals "pixel" with the other
        defaults.
      scale: alpha of local response normalization, the weight of the mean of squares.
      exponent: beta of local response normalization.
      epsilon: k of local response normalization; "pixel" adds it to the mean square.

    References:
      Karras et al. 2018 (PGGAN), section 4.2; Krizhevsky et al. 2012, section 3.3.
    """

    kind: str = "pixel"
    size: int | None = None
    scale: float = 1.0
    exponent: float = 0.5
    epsilon: float = 1e-8

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalizes [..., C].

        Raises:
          FieldError: on another kind.
        """
        if self.kind == "pixel":
            return normalize_2nd_moment(x, epsilon=self.epsilon)
        if self.kind == "local_response":
            return local_response_norm(x, size=self.size, alpha=self.scale, beta=self.exponent, k=self.epsilon)
        if self.kind != "none":
            raise FieldError("kind", self.kind, ", ".join(NORMS))
        return x


class GrowingGenerator(nn.Module):
    """A generator from latents to images at any stage of progressive growing.

    Submodules, for each resolution r: b{r}, a `GrowingGeneratorBlock`; torgb{r}, a 1x1 convolution. A call uses the
    submodules of its stage and below. Initialization must be at the last stage, and creates all of them.

    Attributes:
      image_shape: (H, W, C), any size that `flaxgan.nn.pyramid.base_grid` reduces to a small grid.
      norm: the normalization after each layer.
      num_classes: number of classes K; the one-hot vector is appended to z; 0 is unconditional.
      channel_base: a grid of resolution r has min(channel_base // r, channel_max) channels.
      channel_max: maximum number of channels of a grid.
      normalize_latents: whether to scale z, with the labels, to a mean square of 1.
      output: "linear", or "tanh" of the image of each resolution.
      initializer: "equalized" or "he", see `flaxgan.nn.equalized`.
      dtype: compute type of the highest resolutions.
      low_precision_resolutions: number of highest resolutions that use `dtype`; the base grid never does.
      remat: whether to recompute each block in the backward pass instead of storing its activations.

    References:
      Karras et al. 2018 (PGGAN), section 2 and table 2.
    """

    image_shape: tuple[int, int, int]
    norm: PixelNorm = PixelNorm()
    num_classes: int = 0
    channel_base: int = 16384
    channel_max: int = 512
    normalize_latents: bool = True
    output: str = "linear"
    initializer: str = "equalized"
    dtype: str = "float32"
    low_precision_resolutions: int = 4
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool = False,
        stage: int | None = None,
        alpha: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Generates images.

        Args:
          z: latents [N, Z], N(0, I).
          labels: int32 [N] or float [N, K]; ignored if the network is unconditional.
          train: unused; part of the signature of every family.
          stage: index of the resolution, from 0 for the base grid; None is the last.
          alpha: weight of the block of this stage against the enlarged image of the stage before, a scalar in [0, 1];
            may be traced.

        Returns:
          Images [N, H, W, C] of the stage's size, float32, about [-1, 1].

        Raises:
          FieldError: on another stage, or on labels of another shape.
        """
        del train
        grids = pyramid.grids(*self.image_shape[:2])
        stage = progressive.stage_index(stage, grids)
        block_class = nn.remat(GrowingGeneratorBlock) if self.remat else GrowingGeneratorBlock
        low = progressive.low_grids(grids, self.low_precision_resolutions)
        x = self._latents(z, labels)
        images: list[jax.Array] = []
        for index, grid in enumerate(grids[: stage + 1]):
            dtype = precision.block_dtype(self.dtype, is_low=pyramid.resolution(grid) in low)
            x = block_class(
                pyramid.channels(grid, self.channel_base, self.channel_max),
                norm=self.norm,
                base_grid=grid if index == 0 else None,
                initializer=self.initializer,
                dtype=dtype,
                name=f"b{pyramid.resolution(grid)}",
            )(x)
            if progressive.shows_image(index, stage, alpha) or self.is_initializing():
                images.append(self._image(x, grid, dtype))
        if progressive.is_fading(stage, alpha):
            return blend(nearest_upsample(images[-2]), images[-1], alpha)
        return images[-1]

    def _latents(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        classes = label_vectors(labels, self.num_classes)
        z = precision.at_least_float32(z)
        z = z if classes is None else jnp.concatenate([z, classes.astype(z.dtype)], axis=-1)
        return normalize_2nd_moment(z) if self.normalize_latents else z

    def _image(self, x: jax.Array, grid: tuple[int, int], dtype: str | None) -> jax.Array:
        name = f"torgb{pyramid.resolution(grid)}"
        torgb = HeConv(self.image_shape[2], 1, gain=1.0, initializer=self.initializer, dtype=dtype, name=name)
        image = precision.at_least_float32(torgb(x))
        if self.output not in OUTPUTS:
            raise FieldError("output", self.output, ", ".join(OUTPUTS))
        return jnp.tanh(image) if self.output == "tanh" else image


class GrowingGeneratorBlock(nn.Module):
    """One resolution of the generator: two layers, each with bias, leaky ReLU and normalization.

    Submodules: fc, which maps latents to [H, W, O] with channels last, or conv0, which upsamples; conv1.

    Attributes:
      features: output channels O.
      norm: the normalization after each layer.
      base_grid: (H, W) of the output of the dense layer; None enlarges the input.
      initializer: "equalized" or "he".
      dtype: compute type; None is the promoted type of inputs and parameters.
    """

    features: int
    norm: PixelNorm
    base_grid: tuple[int, int] | None = None
    initializer: str = "equalized"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps latents [N, Z] to [N, H, W, O], or features [N, H, W, I] to [N, 2H, 2W, O]."""
        x = self._end(self._conv("conv0", up=2)(x) if self.base_grid is None else self._dense(x, self.base_grid))
        return self._end(self._conv("conv1")(x))

    def _dense(self, z: jax.Array, grid: tuple[int, int]) -> jax.Array:
        pixels = math.prod(grid)
        # As after a convolution, there is one bias for each channel, and the fan-in is Z times the pixels.
        gain = lrelu_gain(self.initializer) / math.sqrt(pixels)
        fc = HeDense(pixels * self.features, gain, use_bias=False, initializer=self.initializer, name="fc")
        x = fc(z).reshape(z.shape[0], *grid, self.features)
        return x + self.param("fc_bias", nn.initializers.zeros, (self.features,), jnp.float32)

    def _conv(self, name: str, up: int = 1) -> HeConv:
        options: dict[str, Any] = {"initializer": self.initializer, "dtype": self.dtype}
        return HeConv(self.features, gain=lrelu_gain(self.initializer), up=up, **options, name=name)

    def _end(self, x: jax.Array) -> jax.Array:
        return self.norm(bias_act(x, activation="lrelu", gain=1.0))
