"""The first StyleGAN: styles by adaptive instance normalization, and progressive growing.

References:
  Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks".
"""

from typing import Any

import jax

from flaxgan.networks import _checks as checks
from flaxgan.networks import _progressive_fields, stylegan2
from flaxgan.nn import precision, pyramid
from flaxgan.nn.adain_synthesis import AdaINSynthesis
from flaxgan.nn.equalized import INITIALIZERS
from flaxgan.nn.joint_mapping import JointMappingNetwork
from flaxgan.nn.pggan_discriminator import GrowingDiscriminator
from flaxgan.nn.style_layers import NOISE_MODES
from flaxgan.types import Gan


class Generator(stylegan2.Generator):
    """A mapping network followed by a progressively growing synthesis network.

    Variables: params/mapping, params/synthesis; buffers/mapping/w_avg, buffers/synthesis/b{r}/layer{i}/noise_const.

    Attributes:
      mapping: the mapping network, a `JointMappingNetwork` with the num_ws of the synthesis network.
      synthesis: the synthesis network, an `AdaINSynthesis`.
      noise_mode: default noise of the layers, "random", "const" or "none".
    """

    mapping: JointMappingNetwork
    synthesis: AdaINSynthesis
    noise_mode: str = "random"

    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool = False,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str | None = None,
        stage: int | None = None,
        alpha: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Generates images, by `map` and `synthesize`.

        Returns:
          Images [N, H, W, C] of the stage's size, float32, about [-1, 1].
        """
        ws = self.map(z, labels, train=train, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return self.synthesize(ws, noise_mode=noise_mode, stage=stage, alpha=alpha)

    def synthesize(
        self,
        ws: jax.Array,
        *,
        noise_mode: str | None = None,
        stage: int | None = None,
        alpha: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Generates images from styles.

        Args:
          ws: styles [N, L, D] of all layers, for any stage.
          noise_mode: "random", "const" or "none"; None takes the module's default.
          stage: index of the resolution, from 0 for the base grid; None is the last.
          alpha: weight of the block of this stage against the enlarged image of the stage before, a scalar in [0, 1];
            may be traced.

        Returns:
          Images [N, H, W, C] of the stage's size, float32.
        """
        noise_mode = self.noise_mode if noise_mode is None else noise_mode
        return self.synthesis(ws, noise_mode=noise_mode, stage=stage, alpha=alpha)


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
    channel_base: int = 16384,
    channel_max: int = 512,
    use_noise: bool = True,
    noise_mode: str = "random",
    blur_filter: tuple[float, ...] | None = (1, 2, 1),
    instance_norm_eps: float = 1e-8,
    initializer: str = "equalized",
    mbstd_averaging: str | None = None,
    mbstd_group_size: int | None = 4,
    mbstd_num_channels: int = 1,
    mbstd_by_class: bool = False,
    dtype: str = "float32",
    low_precision_resolutions: int = 4,
    remat: bool = False,
) -> Gan:
    """Builds the networks of StyleGAN. The defaults are configuration F at 1024x1024.

    With classes the discriminator has a logit for each class and returns that of the image's class. The minibatch
    standard deviation is that of groups, or with mbstd_averaging that of the whole batch in a form of
    `flaxgan.ops.minibatch_stddev.averaged_minibatch_stddev`.

    Args:
      image_shape: (H, W, C); H and W are a small base grid (4x4, 4x6, 5x7, ...) times a power of two.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z.
      w_dim: width of the style w.
      mapping_layers: depth of the mapping network.
      embed_features: width of the label embedding of the mapping network; None is z_dim.
      layer_features: width between the layers of the mapping network; None is w_dim.
      mapping_lr_multiplier: learning rate of the layers of the mapping network relative to the others.
      w_avg_beta: decay, per mapping of a batch, of the average style towards which truncation moves.
      channel_base: resolution r has min(channel_base // r, channel_max) channels; twice fmap_base of the official code.
      channel_max: maximum number of channels of a grid.
      use_noise: whether the layers of the generator add noise.
      noise_mode: default noise of a call, 'random', 'const' or 'none'; used in training.
      blur_filter: taps of the FIR filter after upsampling and before downsampling; None disables it.
      instance_norm_eps: epsilon added to the variances of the instance normalization (1e-5 in some ports).
      initializer: 'equalized' applies He's constant at run time (equalized learning rate), 'he' at initialization only.
      mbstd_averaging: 'all', 'group' and a number, 'channels', 'spatial', 'none', 'gpool', 'flat'; None uses groups.
      mbstd_group_size: group size of the minibatch standard deviation; None is the whole batch.
      mbstd_num_channels: number of channels of the minibatch standard deviation; 0 disables it.
      mbstd_by_class: whether to group by class, for variety within classes of small datasets (not in the papers).
      dtype: compute type of the highest resolutions: 'float32', 'bfloat16' or 'float16'.
      low_precision_resolutions: number of highest resolutions that use `dtype`; the others use float32.
      remat: whether to recompute each block in the backward pass, which takes less memory and more time.

    Returns:
      The Gan, with a stage for each resolution from the base grid to the image's own.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    checks.require_integers(1, z_dim=z_dim, w_dim=w_dim, mapping_layers=mapping_layers)
    checks.require_optional_integers(1, embed_features=embed_features, layer_features=layer_features)
    checks.require_positive(mapping_lr_multiplier=mapping_lr_multiplier, instance_norm_eps=instance_norm_eps)
    checks.require_shares(w_avg_beta=w_avg_beta)
    checks.require_booleans(use_noise=use_noise, remat=remat)
    checks.require_one_of(NOISE_MODES, noise_mode=noise_mode)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    checks.require_one_of(precision.DTYPES, dtype=dtype)
    both: dict[str, Any] = {
        "image_shape": tuple(image_shape),
        "channel_base": channel_base,
        "channel_max": channel_max,
        "blur_filter": _progressive_fields.checked_filter(blur_filter),
        "initializer": initializer,
        "dtype": dtype,
        "low_precision_resolutions": low_precision_resolutions,
        "remat": remat,
    }
    _progressive_fields.check_pyramid(num_classes=num_classes, **both)
    stddev: dict[str, Any] = {
        "mbstd_averaging": mbstd_averaging,
        "mbstd_group_size": mbstd_group_size,
        "mbstd_num_channels": mbstd_num_channels,
        "mbstd_by_class": mbstd_by_class,
    }
    _progressive_fields.check_stddev(_progressive_fields.base_channels(**both), num_classes, **stddev)
    synthesis = AdaINSynthesis(use_noise=use_noise, instance_norm_eps=instance_norm_eps, **both)
    mapping = JointMappingNetwork(
        z_dim,
        num_classes,
        w_dim,
        synthesis.num_ws,
        num_layers=mapping_layers,
        embed_features=embed_features,
        layer_features=layer_features,
        lr_multiplier=mapping_lr_multiplier,
        w_avg_beta=w_avg_beta,
        initializer=initializer,
    )
    discriminator = GrowingDiscriminator(num_classes=num_classes, **stddev, **both)
    return Gan(
        generator=Generator(mapping, synthesis, noise_mode=noise_mode),
        discriminator=discriminator,
        z_dim=z_dim,
        image_shape=checks.shape_of(image_shape),
        num_classes=num_classes,
        d_layers=discriminator.layers,
        stages=pyramid.grids(*image_shape[:2]),
    )
