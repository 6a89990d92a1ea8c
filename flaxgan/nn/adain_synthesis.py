"""StyleGAN's synthesis network: a learned constant, and layers whose statistics come from styles (AdaIN)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn import precision, progressive, pyramid
from flaxgan.nn.equalized import HeConv, HeDense, fir_filter, lrelu_gain
from flaxgan.nn.optional_inputs import given
from flaxgan.nn.style_layers import NOISE_MODES
from flaxgan.ops.bias_act import bias_act
from flaxgan.ops.instance_norm import adaptive_instance_norm
from flaxgan.ops.resampling import blend, nearest_upsample
from flaxgan.ops.upfirdn import filter2d

LAYERS_PER_GRID = 2


class AdaINSynthesis(nn.Module):
    """A synthesis network from styles to images at any stage of progressive growing.

    Submodules, for each resolution r: b{r}, an `AdaINBlock`; torgb{r}, a 1x1 convolution. A call uses the submodules of
    its stage and below. Initialization must be at the last stage, and creates all of them.

    Attributes:
      image_shape: (H, W, C), any size that `flaxgan.nn.pyramid.base_grid` reduces to a small grid.
      channel_base: a grid of resolution r has min(channel_base // r, channel_max) channels.
      channel_max: maximum number of channels of a grid.
      use_noise: whether the layers add noise.
      blur_filter: taps of the FIR filter after each upsampling convolution; None disables it.
      instance_norm_eps: epsilon added to the variances of the instance normalization.
      initializer: "equalized" or "he", see `flaxgan.nn.equalized`.
      dtype: compute type of the highest resolutions.
      low_precision_resolutions: number of highest resolutions that use `dtype`; the base grid never does.
      remat: whether to recompute each block in the backward pass instead of storing its activations.

    References:
      Karras et al. 2019 (StyleGAN), section 2 and figure 1.
    """

    image_shape: tuple[int, int, int]
    channel_base: int = 16384
    channel_max: int = 512
    use_noise: bool = True
    blur_filter: tuple[float, ...] | None = (1, 2, 1)
    instance_norm_eps: float = 1e-8
    initializer: str = "equalized"
    dtype: str = "float32"
    low_precision_resolutions: int = 4
    remat: bool = False

    @property
    def num_ws(self) -> int:
        """Number L of styles, for two layers at each resolution."""
        return LAYERS_PER_GRID * len(pyramid.grids(*self.image_shape[:2]))

    @nn.compact
    def __call__(
        self,
        ws: jax.Array,
        *,
        noise_mode: str = "random",
        stage: int | None = None,
        alpha: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Generates images.

        Args:
          ws: styles [N, L, D] of all layers; those above the stage are ignored.
          noise_mode: "random" (rng collection "noise", one map per layer and sample), "const" or "none".
          stage: index of the resolution, from 0 for the base grid; None is the last.
          alpha: weight of the block of this stage against the enlarged image of the stage before, a scalar in [0, 1];
            may be traced.

        Returns:
          Images [N, H, W, C] of the stage's size, float32.

        Raises:
          FieldError: on another ws, noise_mode or stage.
        """
        if ws.ndim != 3 or ws.shape[1] != self.num_ws:
            raise FieldError("ws", Words(f"shape {ws.shape}"), f"[N, {self.num_ws}, D]")
        grids = pyramid.grids(*self.image_shape[:2])
        stage = progressive.stage_index(stage, grids)
        # noise_mode, the third argument after self, is a string and must be static in jax.checkpoint.
        block_class = nn.remat(AdaINBlock, static_argnums=(3,)) if self.remat else AdaINBlock
        low = progressive.low_grids(grids, self.low_precision_resolutions)
        x = None
        images: list[jax.Array] = []
        for index, grid in enumerate(grids[: stage + 1]):
            dtype = precision.block_dtype(self.dtype, is_low=pyramid.resolution(grid) in low)
            block = block_class(
                pyramid.channels(grid, self.channel_base, self.channel_max),
                base_grid=grid if index == 0 else None,
                use_noise=self.use_noise,
                blur_filter=self.blur_filter,
                instance_norm_eps=self.instance_norm_eps,
                initializer=self.initializer,
                dtype=dtype,
                name=f"b{pyramid.resolution(grid)}",
            )
            x = block(x, ws[:, LAYERS_PER_GRID * index : LAYERS_PER_GRID * (index + 1)], noise_mode)
            if progressive.shows_image(index, stage, alpha) or self.is_initializing():
                images.append(precision.at_least_float32(self._to_rgb(grid, dtype)(x)))
        if progressive.is_fading(stage, alpha):
            return blend(nearest_upsample(images[-2]), images[-1], alpha)
        return images[-1]

    def _to_rgb(self, grid: tuple[int, int], dtype: str | None) -> HeConv:
        options: dict[str, Any] = {"initializer": self.initializer, "dtype": dtype}
        return HeConv(self.image_shape[2], 1, gain=1.0, **options, name=f"torgb{pyramid.resolution(grid)}")


class AdaINBlock(nn.Module):
    """One resolution of the synthesis network: two styled layers.

    Submodules: const [H, W, O], from 1, or conv0, which enlarges; layer0; conv1; layer1.

    Attributes:
      features: output channels O.
      base_grid: (H, W) of the learned constant at which this block starts; None enlarges its input.
      use_noise: whether the layers add noise.
      blur_filter: taps of the FIR filter after conv0; None disables it.
      instance_norm_eps: epsilon added to the variances of the instance normalization.
      initializer: "equalized" or "he".
      dtype: compute type; None is the promoted type of inputs and parameters.
    """

    features: int
    base_grid: tuple[int, int] | None = None
    use_noise: bool = True
    blur_filter: tuple[float, ...] | None = (1, 2, 1)
    instance_norm_eps: float = 1e-8
    initializer: str = "equalized"
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array | None, ws: jax.Array, noise_mode: str = "random") -> jax.Array:
        """Doubles the resolution.

        Args:
          x: features [N, H, W, I]; None where the block starts at its constant.
          ws: styles of the two layers, [N, 2, D].
          noise_mode: see `StyledLayer`.

        Returns:
          [N, 2H, 2W, O], or [N, H, W, O] of the size of the constant.

        Raises:
          FieldError: if x is missing, or on another noise_mode.
        """
        layer: dict[str, Any] = {
            "use_noise": self.use_noise,
            "epsilon": self.instance_norm_eps,
            "initializer": self.initializer,
        }
        x = StyledLayer(**layer, name="layer0")(self._enlarged(x, ws.shape[0]), ws[:, 0], noise_mode)
        return StyledLayer(**layer, name="layer1")(self._conv("conv1")(x), ws[:, 1], noise_mode)

    def _enlarged(self, x: jax.Array | None, num_samples: int) -> jax.Array:
        if self.base_grid is not None:
            const = self.param("const", nn.initializers.ones, (*self.base_grid, self.features), jnp.float32)
            (const,) = nn.dtypes.promote_dtype(const, dtype=self.dtype)
            return jnp.broadcast_to(const, (num_samples, *const.shape))
        x = self._conv("conv0", up=2)(given("x", x, "features [N, H, W, I] without base_grid"))
        return x if self.blur_filter is None else filter2d(x, fir_filter(self.blur_filter))

    def _conv(self, name: str, up: int = 1) -> HeConv:
        gain = lrelu_gain(self.initializer)
        options: dict[str, Any] = {"initializer": self.initializer, "dtype": self.dtype}
        return HeConv(self.features, gain=gain, use_bias=False, up=up, **options, name=name)


class StyledLayer(nn.Module):
    """Noise, bias, leaky ReLU, instance normalization and style, which follow each convolution.

    Parameters: bias [C] and, with use_noise, noise_strength [C], both initialized to 0; affine, the layer from w to the
    gains and offsets of the style. Buffer: noise_const [H, W], drawn from N(0, 1).

    Attributes:
      use_noise: whether noise is added.
      epsilon: epsilon added to the variances.
      initializer: "equalized" or "he".

    References:
      Karras et al. 2019 (StyleGAN), section 2, equation 1; the order is that of the official code.
    """

    use_noise: bool = True
    epsilon: float = 1e-8
    initializer: str = "equalized"

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise_mode: str = "random") -> jax.Array:
        """Maps [N, H, W, C] to the same shape and type.

        Args:
          x: output of the convolution.
          w: one style per sample, [N, D].
          noise_mode: "random", a new map for each sample from the rng collection "noise"; "const", the buffer
            noise_const for all samples; or "none".

        Raises:
          FieldError: on another noise_mode.
        """
        channels = x.shape[-1]
        noise = self._noise(x.shape[:3], noise_mode)
        if self.use_noise:
            strength = self.param("noise_strength", nn.initializers.zeros, (channels,), jnp.float32)
            x = x if noise is None else x + (noise[..., None] * strength).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        x = bias_act(x, bias, activation="lrelu", gain=1.0)
        style = HeDense(2 * channels, gain=1.0, initializer=self.initializer, name="affine")(w)
        return adaptive_instance_norm(x, style, epsilon=self.epsilon)

    def _noise(self, shape: tuple[int, ...], noise_mode: str) -> jax.Array | None:
        """Returns noise of unit strength, [H, W] for all samples or [N, H, W], or None."""
        if noise_mode not in NOISE_MODES:
            raise FieldError("noise_mode", noise_mode, ", ".join(NOISE_MODES))
        if not self.use_noise:
            return None
        normal = lambda collection, shape: jax.random.normal(self.make_rng(collection), shape, jnp.float32)
        const = self.variable("buffers", "noise_const", lambda: normal("params", shape[1:]))
        if noise_mode == "none":
            return None
        return const.value if noise_mode == "const" else normal("noise", shape)
