"""StyleGAN2 in its StyleGAN2-ADA form.

Reference: Karras et al. 2020b, "Analyzing and Improving the Image Quality of StyleGAN"; Karras et al. 2020a, "Training
Generative Adversarial Networks with Limited Data".
"""

import jax
from flax import linen as nn

from flaxgan.networks import _checks as checks
from flaxgan.nn import precision, pyramid
from flaxgan.nn.mapping import MappingNetwork
from flaxgan.nn.style_discriminator import ARCHITECTURES as D_ARCHITECTURES
from flaxgan.nn.style_discriminator import Discriminator
from flaxgan.nn.style_layers import NOISE_MODES
from flaxgan.nn.style_synthesis import ARCHITECTURES as G_ARCHITECTURES
from flaxgan.nn.style_synthesis import SynthesisNetwork
from flaxgan.ops.bias_act import ACTIVATIONS
from flaxgan.types import Gan


class Generator(nn.Module):
    """A mapping network followed by a synthesis network.

    Variables: params/mapping, params/synthesis; buffers/mapping/w_avg, buffers/synthesis/b{r}/conv{i}/noise_const.

    Attributes:
      mapping: the mapping network; its num_ws is the synthesis network's.
      synthesis: the synthesis network.
      noise_mode: noise of the layers unless a call asks for another: "random", "const" or "none".
    """

    mapping: MappingNetwork
    synthesis: SynthesisNetwork
    noise_mode: str = "random"

    @property
    def num_ws(self) -> int:
        """Number L of styles that `map` returns and `synthesize` takes."""
        return self.synthesis.num_ws

    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool = False,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str | None = None,
    ) -> jax.Array:
        """Generates images: `map`, then `synthesize`.

        Returns:
          Images [N, H, W, C], float32, about [-1, 1].
        """
        truncation = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        return self.synthesize(self.map(z, labels, train=train, **truncation), noise_mode=noise_mode)

    def map(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool = False,
        update_w_avg: bool | None = None,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
    ) -> jax.Array:
        """Maps latents to styles.

        Args:
          z: latents [N, z_dim], N(0, I).
          labels: int32 [N] or float [N, K]; ignored if the network is unconditional.
          train: whether w_avg follows the styles of this batch; the collection "buffers" must then be mutable.
          update_w_avg: decides that instead of train, unless None.
          truncation_psi: w becomes w_avg + psi (w - w_avg), with w_avg already updated; may be traced.
          truncation_cutoff: truncates only the first layers, this many; None truncates all.

        Returns:
          Styles [N, L, D], float32.
        """
        return self.mapping(
            z,
            labels,
            update_w_avg=train if update_w_avg is None else update_w_avg,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
        )

    def synthesize(self, ws: jax.Array, *, noise_mode: str | None = None) -> jax.Array:
        """Generates images from styles [N, L, D]; noise_mode None takes the module's own."""
        return self.synthesis(ws, noise_mode=self.noise_mode if noise_mode is None else noise_mode)


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int = 512,
    w_dim: int = 512,
    mapping_layers: int = 8,
    embed_features: int | None = None,
    layer_features: int | None = None,
    mapping_lr_multiplier: float = 0.01,
    w_avg_beta: float = 0.995,
    d_mapping_layers: int = 8,
    cmap_dim: int | None = None,
    channel_base: int = 32768,
    channel_max: int = 512,
    g_architecture: str = "skip",
    d_architecture: str = "resnet",
    activation: str = "lrelu",
    resample_filter: tuple[float, ...] = (1, 3, 3, 1),
    conv_clamp: float | None = None,
    use_noise: bool = True,
    noise_mode: str = "random",
    mbstd_group_size: int | None = 4,
    mbstd_num_channels: int = 1,
    mbstd_by_class: bool = False,
    dtype: str = "float32",
    low_precision_resolutions: int = 4,
    remat: bool = False,
) -> Gan:
    """Builds StyleGAN2's two networks. The defaults are configuration F at 1024x1024.

    Args:
      image_shape: (H, W, C): a small base grid (4x4, 4x6, 5x7, ...) times a power of two, and at least 1 channel.
      num_classes: classes to condition both networks on; 0 is unconditional.
      z_dim: width of the latent z.
      w_dim: width of the style w.
      mapping_layers: depth of the generator's mapping network.
      embed_features: width of its label embedding; None is w_dim.
      layer_features: width between its layers; None is w_dim.
      mapping_lr_multiplier: learning rate of the layers of both mapping networks relative to the rest.
      w_avg_beta: decay, per mapping of a batch, of the average style that truncation moves towards.
      d_mapping_layers: depth of the discriminator's mapping network of labels.
      cmap_dim: width of the discriminator's label projection; None is its channels at the base grid.
      channel_base: channels are channel_base // resolution ...
      channel_max: ... but at most this many.
      g_architecture: 'skip', 'resnet' or 'orig'.
      d_architecture: 'resnet', 'skip' or 'orig'.
      activation: name of an activation of `flaxgan.ops.bias_act`, for both networks.
      resample_filter: taps of the FIR filter of both networks.
      conv_clamp: bound of the magnitude of the layers' outputs; None is unbounded. Needed with float16.
      use_noise: whether the generator's layers have noise inputs at all.
      noise_mode: 'random', 'const' or 'none', for training and wherever a call does not say otherwise.
      mbstd_group_size: samples per group of the minibatch standard deviation; None is the whole batch.
      mbstd_num_channels: channels that it appends; 0 leaves it out.
      mbstd_by_class: group by the batch's classes instead, for variety within them on small sets (not in the papers).
      dtype: compute type of the highest resolutions: 'float32', 'bfloat16' or 'float16'.
      low_precision_resolutions: how many of the highest resolutions `dtype` applies to; the rest are float32.
      remat: recompute each block in the backward pass, which takes less memory and more time.

    Returns:
      The Gan.

    Raises:
      ValueError: naming the field, the value found and the values allowed.
    """
    pyramid.require_buildable(image_shape)
    checks.require_integers(0, num_classes=num_classes, mbstd_num_channels=mbstd_num_channels)
    checks.require_integers(0, low_precision_resolutions=low_precision_resolutions)
    checks.require_integers(1, z_dim=z_dim, w_dim=w_dim, channel_base=channel_base, channel_max=channel_max)
    checks.require_integers(1, mapping_layers=mapping_layers, d_mapping_layers=d_mapping_layers)
    checks.require_optional_integers(1, embed_features=embed_features, layer_features=layer_features)
    checks.require_optional_integers(1, cmap_dim=cmap_dim, mbstd_group_size=mbstd_group_size)
    checks.require_positive(mapping_lr_multiplier=mapping_lr_multiplier)
    checks.require_shares(w_avg_beta=w_avg_beta)
    checks.require_booleans(use_noise=use_noise, remat=remat, mbstd_by_class=mbstd_by_class)
    checks.require(not mbstd_by_class or num_classes > 0, "mbstd_by_class", mbstd_by_class, "False without classes")
    checks.require_one_of(G_ARCHITECTURES, g_architecture=g_architecture)
    checks.require_one_of(D_ARCHITECTURES, d_architecture=d_architecture)
    checks.require_one_of(ACTIVATIONS, activation=activation)
    checks.require_one_of(NOISE_MODES, noise_mode=noise_mode)
    _check_filter(resample_filter)
    _check_precision(dtype, conv_clamp)
    base_channels = _check_channels(image_shape, channel_base, channel_max, mbstd_num_channels)

    image_shape = tuple(image_shape)
    shared = {
        "image_shape": image_shape,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "activation": activation,
        "resample_filter": tuple(resample_filter),
        "conv_clamp": conv_clamp,
        "dtype": dtype,
        "low_precision_resolutions": low_precision_resolutions,
        "remat": remat,
    }
    synthesis = SynthesisNetwork(architecture=g_architecture, use_noise=use_noise, **shared)
    mapping = MappingNetwork(
        z_dim=z_dim,
        num_classes=num_classes,
        w_dim=w_dim,
        num_ws=synthesis.num_ws,
        num_layers=mapping_layers,
        embed_features=embed_features,
        layer_features=layer_features,
        lr_multiplier=mapping_lr_multiplier,
        w_avg_beta=w_avg_beta,
    )
    label_mapping = MappingNetwork(
        z_dim=0,
        num_classes=num_classes,
        w_dim=base_channels if cmap_dim is None else cmap_dim,
        num_ws=None,
        num_layers=d_mapping_layers,
        lr_multiplier=mapping_lr_multiplier,
        w_avg_beta=None,
    )
    discriminator = Discriminator(
        mapping=label_mapping if num_classes else None,
        architecture=d_architecture,
        mbstd_group_size=mbstd_group_size,
        mbstd_num_channels=mbstd_num_channels,
        mbstd_by_class=mbstd_by_class,
        **shared,
    )
    return Gan(
        generator=Generator(mapping, synthesis, noise_mode=noise_mode),
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=image_shape,
        num_classes=num_classes,
        d_layers=discriminator.layers,
    )


def _check_filter(resample_filter: tuple[float, ...]) -> None:
    is_filter = isinstance(resample_filter, tuple | list) and all(
        isinstance(tap, int | float) for tap in resample_filter
    )
    usable = is_filter and sum(resample_filter) != 0
    checks.require(usable, "resample_filter", resample_filter, "a sequence of numbers that do not sum to 0")


def _check_precision(dtype: str, conv_clamp: float | None) -> None:
    checks.require_one_of(precision.DTYPES, dtype=dtype)
    if conv_clamp is not None:
        checks.require_positive(conv_clamp=conv_clamp)
    allowed = "a number above 0 (usually 256), because dtype is float16 and its range is small"
    checks.require(dtype != "float16" or conv_clamp is not None, "conv_clamp", conv_clamp, allowed)


def _check_channels(
    image_shape: tuple[int, int, int], channel_base: int, channel_max: int, mbstd_num_channels: int
) -> int:
    """Checks that every block has channels; returns those of the base grid."""
    base, *_, full = pyramid.grids(*image_shape[:2])
    smallest = pyramid.resolution(full)
    checks.require(
        channel_base >= smallest, "channel_base", channel_base, f"at least the shorter side of the image, {smallest}"
    )
    base_channels = pyramid.channels(base, channel_base, channel_max)
    checks.require(
        mbstd_num_channels == 0 or base_channels % mbstd_num_channels == 0,
        "mbstd_num_channels",
        mbstd_num_channels,
        f"0 or a divisor of the {base_channels} channels at the base grid",
    )
    return base_channels
