"""StyleGAN2's synthesis network: one block for each resolution."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn import precision, pyramid
from flaxgan.nn.equalized import EqualizedConv, fir_filter
from flaxgan.nn.optional_inputs import given
from flaxgan.nn.style_layers import SynthesisLayer, ToRGB
from flaxgan.ops.upfirdn import upsample2d

ARCHITECTURES = ("skip", "resnet", "orig")


class SynthesisNetwork(nn.Module):
    """Maps styles to images, from a learned constant at the base grid by one block for each doubling.

    Submodules: b{r}, one `SynthesisBlock` at each resolution r, the shorter side in pixels.

    Attributes:
      image_shape: (H, W, C), any size that `flaxgan.nn.pyramid.base_grid` reduces to a small grid.
      channel_base: a grid of resolution r has min(channel_base // r, channel_max) channels.
      channel_max: maximum number of channels of a grid.
      architecture: 'skip', 'resnet' or 'orig', see `SynthesisBlock`.
      use_noise: whether the layers add noise.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      kernel_size: side of the kernels of the layers.
      resample_filter: taps of the FIR filter for resampling.
      conv_clamp: bound on the magnitude of the outputs of layers; None is unbounded.
      dtype: compute type of the highest resolutions: 'float32' (the promoted type of styles and parameters, so that
        float64 parameters compute in float64), 'bfloat16' or 'float16'.
      low_precision_resolutions: number of highest resolutions that use `dtype`; the base grid never does.
      remat: whether to recompute each block in the backward pass instead of storing its activations.
    """

    image_shape: tuple[int, int, int]
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "skip"
    use_noise: bool = True
    activation: str = "lrelu"
    kernel_size: int = 3
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    dtype: str = "float32"
    low_precision_resolutions: int = 4
    remat: bool = False

    @property
    def num_ws(self) -> int:
        """Number L of styles, for one layer at the base grid, two in every other block, and the last RGB output."""
        return 2 * len(pyramid.grids(*self.image_shape[:2]))

    @nn.compact
    def __call__(self, ws: jax.Array, *, noise_mode: str = "random") -> jax.Array:
        """Generates images.

        Args:
          ws: styles [N, L, D].
          noise_mode: "random" (rng collection "noise", one map per layer and sample), "const" or "none".

        Returns:
          Images [N, H, W, C], float32.

        Raises:
          FieldError: on another ws or noise_mode.
        """
        if ws.ndim != 3 or ws.shape[1] != self.num_ws:
            raise FieldError("ws", Words(f"shape {ws.shape}"), f"[N, {self.num_ws}, D]")
        # noise_mode, the fourth argument after self, is a string and must be static in jax.checkpoint.
        block_class = nn.remat(SynthesisBlock, static_argnums=(4,)) if self.remat else SynthesisBlock
        all_grids = pyramid.grids(*self.image_shape[:2])
        num_blocks = len(all_grids)
        x, first_w = None, 0
        image: Any = None  # Sum of RGB outputs; the last block always has one.
        for index, grid in enumerate(all_grids):
            block = block_class(
                pyramid.channels(grid, self.channel_base, self.channel_max),
                image_channels=self.image_shape[2],
                base_grid=grid if index == 0 else None,
                is_last=index == num_blocks - 1,
                architecture=self.architecture,
                use_noise=self.use_noise,
                kernel_size=self.kernel_size,
                activation=self.activation,
                resample_filter=self.resample_filter,
                conv_clamp=self.conv_clamp,
                dtype=precision.block_dtype(
                    self.dtype, is_low=index > 0 and num_blocks - index <= self.low_precision_resolutions
                ),
                name=f"b{pyramid.resolution(grid)}",
            )
            # The RGB output shares its style with the first layer of the next block.
            block_ws = ws[:, first_w : first_w + block.num_convs + block.has_rgb]
            x, image = block(x, image, block_ws, noise_mode)
            first_w += block.num_convs
        return image


class SynthesisBlock(nn.Module):
    """One resolution of the synthesis network: a learned constant or an upsampling layer, a layer, RGB output.

    Submodules: const [H, W, O], drawn from N(0, 1), or conv0; conv1; torgb; skip, with 'resnet'.

    Attributes:
      features: output channels O.
      image_channels: channels C of the image.
      base_grid: (H, W) of the learned constant at which this block starts; None upsamples its input.
      is_last: whether this is the block of the image's own resolution.
      architecture: 'skip' sums the RGB outputs of all blocks; 'resnet' has residual blocks and, like 'orig', one
        RGB output at the last block.
      use_noise: whether the layers add noise.
      kernel_size: side of the kernels of the layers.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      resample_filter: taps of the FIR filter for resampling.
      conv_clamp: bound on the magnitude of the outputs of layers; None is unbounded.
      dtype: compute type of the features; None is the promoted type of inputs and parameters. The image is float32.

    References:
      Karras et al. 2020b (StyleGAN2), figures 2 and 7.
    """

    features: int
    image_channels: int
    base_grid: tuple[int, int] | None = None
    is_last: bool = False
    architecture: str = "skip"
    use_noise: bool = True
    kernel_size: int = 3
    activation: str = "lrelu"
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None
    dtype: str | None = None

    @property
    def num_convs(self) -> int:
        """Number of styled layers before the RGB output; they take the first styles."""
        return 1 if self.base_grid is not None else 2

    @property
    def has_rgb(self) -> bool:
        """Whether there is an RGB output; it takes the style after those of the layers."""
        return self.is_last or self.architecture == "skip"

    @nn.compact
    def __call__(
        self, x: jax.Array | None, image: jax.Array | None, ws: jax.Array, noise_mode: str = "random"
    ) -> tuple[jax.Array, jax.Array | None]:
        """Doubles the resolution of features and image.

        Args:
          x: features [N, H, W, I]; None where the block starts at its constant.
          image: sum of the RGB outputs of the blocks before, [N, H, W, C] or None.
          ws: styles of the layers and the RGB output of this block, [N, num_convs + has_rgb, D].
          noise_mode: see `SynthesisLayer`.

        Returns:
          (x, image): features [N, 2H, 2W, O] and image [N, 2H, 2W, C], or None before the first RGB output.

        Raises:
          FieldError: on another ws or noise_mode, or if x is missing.
        """
        expected = self.num_convs + self.has_rgb
        if ws.ndim != 3 or ws.shape[1] != expected:
            raise FieldError("ws", Words(f"shape {ws.shape}"), f"[N, {expected}, D]")
        x = self._features(x, ws, noise_mode)
        if image is not None:
            image = upsample2d(image, fir_filter(self.resample_filter))
        if not self.has_rgb:
            return x, image
        torgb = ToRGB(self.image_channels, conv_clamp=self.conv_clamp, dtype=self.dtype, name="torgb")
        rgb = torgb(x, ws[:, self.num_convs])
        rgb = precision.at_least_float32(rgb)
        return x, rgb if image is None else image + rgb

    def _features(self, x: jax.Array | None, ws: jax.Array, noise_mode: str) -> jax.Array:
        if self.base_grid is not None:
            const = self.param("const", nn.initializers.normal(1.0), (*self.base_grid, self.features), jnp.float32)
            x = jnp.broadcast_to(const, (ws.shape[0], *const.shape))
            return self._layer("conv1")(x, ws[:, 0], noise_mode=noise_mode)
        x = given("x", x, "features [N, H, W, I] without base_grid")
        if self.architecture != "resnet":
            x = self._layer("conv0", up=2)(x, ws[:, 0], noise_mode=noise_mode)
            return self._layer("conv1")(x, ws[:, 1], noise_mode=noise_mode)
        skip = EqualizedConv(
            self.features,
            kernel_size=1,
            use_bias=False,
            up=2,
            resample_filter=self.resample_filter,
            dtype=self.dtype,
            name="skip",
        )
        y = skip(x, gain=math.sqrt(0.5))
        x = self._layer("conv0", up=2)(x, ws[:, 0], noise_mode=noise_mode)
        return y + self._layer("conv1")(x, ws[:, 1], noise_mode=noise_mode, gain=math.sqrt(0.5))

    def _layer(self, name: str, up: int = 1) -> SynthesisLayer:
        return SynthesisLayer(
            self.features,
            kernel_size=self.kernel_size,
            up=up,
            use_noise=self.use_noise,
            activation=self.activation,
            resample_filter=self.resample_filter,
            conv_clamp=self.conv_clamp,
            dtype=self.dtype,
            name=name,
        )
