"""StyleGAN2 in its StyleGAN2-ADA form.

References:
  Karras et al. 2020b, "Analyzing and Improving the Image Quality of StyleGAN"; Karras et al. 2020a, "Training
  Generative Adversarial Networks with Limited Data".
"""

from typing import Any

import jax
from flax import linen as nn

from flaxgan.networks import _checks as checks
from flaxgan.networks import _stylegan2_fields as fields
from flaxgan.nn import precision, pyramid
from flaxgan.nn.adain_synthesis import AdaINSynthesis
from flaxgan.nn.mapping import MappingNetwork
from flaxgan.nn.style_discriminator import ARCHITECTURES as D_ARCHITECTURES
from flaxgan.nn.style_discriminator import Discriminator
from flaxgan.nn.style_layers import NOISE_MODES
from flaxgan.nn.style_synthesis import ARCHITECTURES as G_ARCHITECTURES
from flaxgan.nn.style_synthesis import SynthesisNetwork
from flaxgan.types import Gan


class Generator(nn.Module):
    """A mapping network followed by a synthesis network.

    Variables: params/mapping, params/synthesis; buffers/mapping/w_avg, buffers/synthesis/b{r}/conv{i}/noise_const.

    Attributes:
      mapping: the mapping network, with the num_ws of the synthesis network.
      synthesis: the synthesis network, here a `SynthesisNetwork`.
      noise_mode: default noise of the layers, "random", "const" or "none".
    """

    mapping: MappingNetwork
    synthesis: SynthesisNetwork | AdaINSynthesis
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
        """Generates images, by `map` and `synthesize`.

        Returns:
          Images [N, H, W, C], float32, about [-1, 1].
        """
        ws = self.map(z, labels, train=train, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return self.synthesize(ws, noise_mode=noise_mode)

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
          train: whether to update w_avg with the styles of this batch; the collection "buffers" must then be mutable.
          update_w_avg: overrides train in this, unless None.
          truncation_psi: psi in w_avg + psi (w - w_avg), which replaces w, with the updated w_avg; may be traced.
          truncation_cutoff: number of first layers to truncate; None truncates all.

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
        """Generates images from styles [N, L, D]; noise_mode None takes the module's default."""
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
    mapping_activation: str = "lrelu",
    mapping_lr_multiplier: float = 0.01,
    w_avg_beta: float = 0.995,
    channel_base: int = 32768,
    channel_max: int = 512,
    g_architecture: str = "skip",
    d_architecture: str = "resnet",
    activation: str = "lrelu",
    g_kernel_size: int = 3,
    resample_filter: tuple[float, ...] = (1, 3, 3, 1),
    conv_clamp: float | None = None,
    use_noise: bool = True,
    noise_mode: str = "random",
    mbstd_group_size: int | None = 4,
    mbstd_num_channels: int = 1,
    mbstd_by_class: bool = False,
    d_mapping_layers: int = 8,
    cmap_dim: int | None = None,
    d_embed_features: int | None = None,
    d_layer_features: int | None = None,
    d_mapping_activation: str | None = None,
    d_mapping_lr_multiplier: float | None = None,
    d_channel_base: int | None = None,
    d_channel_max: int | None = None,
    d_activation: str | None = None,
    d_epilogue_activation: str | None = None,
    d_resample_filter: tuple[float, ...] | None = None,
    d_conv_clamp: float | None = None,
    d_low_precision_resolutions: int | None = None,
    dtype: str = "float32",
    low_precision_resolutions: int = 4,
    remat: bool = False,
) -> Gan:
    """Builds the networks of StyleGAN2. The defaults are configuration F at 1024x1024.

    Args:
      image_shape: (H, W, C); H and W are a small base grid (4x4, 4x6, 5x7, ...) times a power of two.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z.
      w_dim: width of the style w.
      mapping_layers: depth of the generator's mapping network.
      embed_features: width of the label embedding of the generator; None is w_dim.
      layer_features: width between the layers of the generator's mapping network; None is w_dim.
      mapping_activation: activation of `flaxgan.ops.bias_act` in both mapping networks.
      mapping_lr_multiplier: learning rate of the layers of both mapping networks relative to the others.
      w_avg_beta: decay, per mapping of a batch, of the average style towards which truncation moves.
      channel_base: a grid of resolution r has min(channel_base // r, channel_max) channels.
      channel_max: maximum number of channels of a grid.
      g_architecture: architecture of the generator: 'skip', 'resnet' or 'orig'.
      d_architecture: architecture of the discriminator: 'resnet', 'skip' or 'orig'.
      activation: activation of `flaxgan.ops.bias_act` in both networks.
      g_kernel_size: side of the kernels of the generator's layers, an odd number; that of the discriminator's is 3.
      resample_filter: taps of the FIR filter for resampling.
      conv_clamp: bound on the magnitude of the outputs of layers; None is unbounded. Required with float16.
      use_noise: whether the layers of the generator add noise.
      noise_mode: default noise of a call, 'random', 'const' or 'none'; used in training.
      mbstd_group_size: group size of the minibatch standard deviation; None is the whole batch.
      mbstd_num_channels: number of channels of the minibatch standard deviation; 0 disables it.
      mbstd_by_class: whether to group by class, for variety within classes of small datasets (not in the papers).
      d_mapping_layers: depth of the discriminator's mapping network of labels; 0 projects the label embedding itself.
      cmap_dim: width of the discriminator's label projection; None is the number of its channels at the base grid.
      d_embed_features: width of the label embedding of the discriminator; None is cmap_dim.
      d_layer_features: width between the layers of the discriminator's mapping network; None is cmap_dim.
      d_mapping_activation: the discriminator's own mapping_activation; None is the same.
      d_mapping_lr_multiplier: the discriminator's own mapping_lr_multiplier; None is the same.
      d_channel_base: the discriminator's own channel_base; None is the same.
      d_channel_max: the discriminator's own channel_max; None is the same.
      d_activation: the discriminator's own activation; None is the same.
      d_epilogue_activation: activation at the base grid of the discriminator; None is that of its blocks.
      d_resample_filter: the discriminator's own resample_filter; None is the same.
      d_conv_clamp: the discriminator's own conv_clamp; None is the same, inf is unbounded.
      d_low_precision_resolutions: the discriminator's own low_precision_resolutions; None is the same.
      dtype: compute type of the highest resolutions: 'float32', 'bfloat16' or 'float16'.
      low_precision_resolutions: number of highest resolutions that use `dtype`; the others use float32.
      remat: whether to recompute each block in the backward pass, which takes less memory and more time.

    Returns:
      The Gan.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    pyramid.require_buildable(image_shape)
    checks.require_integers(0, num_classes=num_classes)
    checks.require_integers(1, z_dim=z_dim, w_dim=w_dim)
    checks.require_optional_integers(1, cmap_dim=cmap_dim)
    checks.require_shares(w_avg_beta=w_avg_beta)
    checks.require_odd(g_kernel_size=g_kernel_size)
    checks.require_booleans(use_noise=use_noise, remat=remat)
    checks.require_one_of(G_ARCHITECTURES, g_architecture=g_architecture)
    checks.require_one_of(D_ARCHITECTURES, d_architecture=d_architecture)
    checks.require_one_of(NOISE_MODES, noise_mode=noise_mode)
    checks.require_one_of(precision.DTYPES, dtype=dtype)

    image_shape = checks.shape_of(image_shape)
    g_blocks: dict[str, Any] = {
        "channel_base": channel_base,
        "channel_max": channel_max,
        "activation": activation,
        "resample_filter": resample_filter,
        "conv_clamp": conv_clamp,
        "low_precision_resolutions": low_precision_resolutions,
    }
    d_blocks = g_blocks | _given(
        channel_base=d_channel_base,
        channel_max=d_channel_max,
        activation=d_activation,
        resample_filter=d_resample_filter,
        conv_clamp=d_conv_clamp,
        low_precision_resolutions=d_low_precision_resolutions,
    )
    g_blocks = fields.checked_blocks("", g_blocks, image_shape, dtype)
    d_blocks = fields.checked_blocks("d_", d_blocks, image_shape, dtype)
    d_base_channels = fields.base_channels(image_shape, d_blocks)
    g_mapping: dict[str, Any] = {
        "num_layers": mapping_layers,
        "embed_features": embed_features,
        "layer_features": layer_features,
        "activation": mapping_activation,
        "lr_multiplier": mapping_lr_multiplier,
    }
    d_mapping = {
        **g_mapping,
        "num_layers": d_mapping_layers,
        "embed_features": d_embed_features,
        "layer_features": d_layer_features,
        **_given(activation=d_mapping_activation, lr_multiplier=d_mapping_lr_multiplier),
    }
    cmap_features = d_base_channels if cmap_dim is None else cmap_dim
    fields.check_mapping("", g_mapping, min_layers=1)
    fields.check_mapping("d_", d_mapping, min_layers=0)
    fields.check_label_projection(cmap_features, d_mapping)
    epilogue: dict[str, Any] = {
        "epilogue_activation": d_epilogue_activation,
        "mbstd_group_size": mbstd_group_size,
        "mbstd_num_channels": mbstd_num_channels,
        "mbstd_by_class": mbstd_by_class,
    }
    fields.check_epilogue(epilogue, d_base_channels, num_classes)

    both: dict[str, Any] = {"image_shape": image_shape, "dtype": dtype, "remat": remat}
    synthesis = SynthesisNetwork(
        architecture=g_architecture, kernel_size=g_kernel_size, use_noise=use_noise, **g_blocks, **both
    )
    mapping = MappingNetwork(z_dim, num_classes, w_dim, synthesis.num_ws, w_avg_beta=w_avg_beta, **g_mapping)
    label_mapping = MappingNetwork(0, num_classes, cmap_features, num_ws=None, w_avg_beta=None, **d_mapping)
    discriminator = Discriminator(
        mapping=label_mapping if num_classes else None, architecture=d_architecture, **epilogue, **d_blocks, **both
    )
    return Gan(
        generator=Generator(mapping, synthesis, noise_mode=noise_mode),
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=image_shape,
        num_classes=num_classes,
        d_layers=discriminator.layers,
    )


def _given(**settings: Any) -> dict[str, Any]:
    """Returns the settings that are not None."""
    return {name: value for name, value in settings.items() if value is not None}
