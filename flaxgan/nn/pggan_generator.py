"""PGGAN's generator: convolutions with a normalization of each pixel, and an image output at each resolution."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import linen as nn

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
    """The normalization of a pixel's channels, without parameters.

    Attributes:
      kind: "pixel", all channels to a mean square of 1; "local_response", each by its neighbours; "none".
      size: of the local response's window in channels; None is all, which with the other defaults is "pixel".
      scale: its alpha, the weight of the mean of squares.
      exponent: its beta.
      epsilon: its k, or what is added to the mean square in "pixel".

    Reference: Karras et al. 2018 (PGGAN), section 4.2; Krizhevsky et al. 2012, section 3.3.
    """

    kind: str = "pixel"
    size: int | None = None
    scale: float = 1.0
    exponent: float = 0.5
    epsilon: float = 1e-8

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalizes [..., C]."""
        if self.kind == "pixel":
            return normalize_2nd_moment(x, epsilon=self.epsilon)
        if self.kind == "local_response":
            settings = {"size": self.size, "alpha": self.scale, "beta": self.exponent, "k": self.epsilon}
            return local_response_norm(x, **settings)
        if self.kind != "none":
            raise ValueError(f"kind: found {self.kind!r}, allowed: {', '.join(NORMS)}")
        return x


class GrowingGenerator(nn.Module):
    """Latents to images at any stage of progressive growing.

    Submodules, for each resolution r: b{r}, a `GrowingGeneratorBlock`; torgb{r}, a 1x1 convolution. A call uses those
    of its stage and below; initialization must be at the last stage, and creates all.

    Attributes:
      image_shape: (H, W, C), any size that `flaxgan.nn.pyramid.base_grid` reduces to a small grid.
      norm: the normalization after each layer.
      num_classes: classes K, whose one-hot vector is appended to z; 0 is unconditional.
      channel_base: channels are channel_base // resolution ...
      channel_max: ... but at most this many.
      normalize_latents: whether z (and the labels with it) is scaled to a mean square of 1.
      output: "linear", or "tanh" of each resolution's image.
      initializer: "equalized" or "he", see `flaxgan.nn.equalized`.
      dtype: compute type of the highest resolutions.
      low_precision_resolutions: how many of the highest resolutions `dtype` applies to; the base grid never counts.
      remat: recompute each block in the backward pass instead of storing its activations.

    Reference: Karras et al. 2018 (PGGAN), section 2 and table 2.
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
          train: part of every family's signature; nothing here depends on it.
          stage: index of the resolution, 0 being the base grid; None is the last.
          alpha: weight of the stage's block against the enlarged image of the stage before, a scalar in [0, 1]; may be
            traced.

        Returns:
          Images [N, H, W, C] of the stage's size, float32, about [-1, 1].

        Raises:
          ValueError: if there is no such stage, or the labels do not fit.
        """
        del train
        grids = pyramid.grids(*self.image_shape[:2])
        stage = progressive.stage_index(stage, grids)
        block_class = nn.remat(GrowingGeneratorBlock) if self.remat else GrowingGeneratorBlock
        low = progressive.low_grids(grids, self.low_precision_resolutions)
        x, image, before = self._latents(z, labels), None, None
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
                before, image = image, self._image(x, grid, dtype)
        if progressive.is_fading(stage, alpha):
            image = blend(nearest_upsample(before), image, alpha)
        return image

    def _latents(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        classes = label_vectors(labels, self.num_classes)
        z = precision.at_least_float32(z)
        z = z if classes is None else jnp.concatenate([z, classes.astype(z.dtype)], axis=-1)
        return normalize_2nd_moment(z) if self.normalize_latents else z

    def _image(self, x: jax.Array, grid: tuple[int, int], dtype: str | None) -> jax.Array:
        options = {"initializer": self.initializer, "dtype": dtype}
        torgb = HeConv(self.image_shape[2], 1, gain=1.0, **options, name=f"torgb{pyramid.resolution(grid)}")
        image = precision.at_least_float32(torgb(x))
        if self.output not in OUTPUTS:
            raise ValueError(f"output: found {self.output!r}, allowed: {', '.join(OUTPUTS)}")
        return jnp.tanh(image) if self.output == "tanh" else image


class GrowingGeneratorBlock(nn.Module):
    """One resolution of the generator: two layers, each with bias, leaky ReLU and normalization.

    Submodules: fc, which makes [H, W, O] of the latents with channels last, or conv0, which enlarges; conv1.

    Attributes:
      features: output channels O.
      norm: the normalization after each layer.
      base_grid: (H, W) of the dense layer's output; None enlarges the input.
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
        x = self._end(self._conv("conv0", up=2)(x) if self.base_grid is None else self._dense(x))
        return self._end(self._conv("conv1")(x))

    def _dense(self, z: jax.Array) -> jax.Array:
        pixels = math.prod(self.base_grid)
        # The bias is one for each channel, as after a convolution; fan-in is that of one, too: Z times the pixels.
        gain = lrelu_gain(self.initializer) / math.sqrt(pixels)
        fc = HeDense(pixels * self.features, gain, use_bias=False, initializer=self.initializer, name="fc")
        x = fc(z).reshape(z.shape[0], *self.base_grid, self.features)
        return x + self.param("fc_bias", nn.initializers.zeros, (self.features,), jnp.float32)

    def _conv(self, name: str, up: int = 1) -> HeConv:
        options = {"initializer": self.initializer, "dtype": self.dtype}
        return HeConv(self.features, gain=lrelu_gain(self.initializer), up=up, **options, name=name)

    def _end(self, x: jax.Array) -> jax.Array:
        return self.norm(bias_act(x, activation="lrelu", gain=1.0))
