"""StyleGAN, the first: styles by adaptive instance normalization, grown progressively.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks".
"""

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
    """A mapping network followed by a synthesis network that grows.

    Variables: params/mapping, params/synthesis; buffers/mapping/w_avg, buffers/synthesis/b{r}/layer{i}/noise_const.

    Attributes:
      mapping: the mapping network, a `JointMappingNetwork`; its num_ws is the synthesis network's.
      synthesis: the synthesis network, an `AdaINSynthesis`.
      noise_mode: noise of the layers unless a call asks for another: "random", "const" or "none".
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
        """Generates images: `map`, then `synthesize`.

        Returns:
          Images [N, H, W, C] of the stage's size, float32, about [-1, 1].
        """
        truncation = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        ws = self.map(z, labels, train=train, **truncation)
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
          ws: styles [N, L, D] of all layers, whatever the stage.
          noise_mode: "random", "const" or "none"; None takes the module's own.
          stage: index of the resolution, 0 being the base grid; None is the last.
          alpha: weight of the stage's block against the enlarged image of the stage before, a scalar in [0, 1]; may be
            traced.

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
    """Builds StyleGAN's two networks. The defaults are configuration F at 1024x1024.

    Args:
      image_shape: (H, W, C): a small base grid (4x4, 4x6, 5x7, ...) times a power of two, and at least 1 channel.
      num_classes: classes to condition both networks on; 0 is unconditional. The discriminator has a logit for each
        class, of which it returns the image's own.
      z_dim: width of the latent z.
      w_dim: width of the style w.
      mapping_layers: depth of the mapping network.
      embed_features: width of its label embedding; None is z_dim.
      layer_features: width between its layers; None is w_dim.
      mapping_lr_multiplier: learning rate of its layers relative to the rest.
      w_avg_beta: decay, per mapping of a batch, of the average style that truncation moves towards.
      channel_base: channels are channel_base // resolution ... (the official code's fmap_base is half of it)
      channel_max: ... but at most this many.
      use_noise: whether the generator's layers have noise inputs at all.
      noise_mode: 'random', 'const' or 'none', for training and wherever a call does not say otherwise.
      blur_filter: taps of the FIR filter after enlarging and before shrinking; None for none.
      instance_norm_eps: added to the variances of the instance normalization (some ports have 1e-5).
      initializer: 'equalized', He's constant at run time (equalized learning rate), or 'he', at the start only.
      mbstd_averaging: minibatch standard deviation over the whole batch: 'all', 'group' and a number of channels,
        'channels', 'spatial', 'none', 'gpool' or 'flat'; None is that of groups, the next two fields.
      mbstd_group_size: samples per group; None is the whole batch.
      mbstd_num_channels: channels that it appends; 0 leaves it out.
      mbstd_by_class: group by the batch's classes instead, for variety within them on small sets (not in the papers).
      dtype: compute type of the highest resolutions: 'float32', 'bfloat16' or 'float16'.
      low_precision_resolutions: how many of the highest resolutions `dtype` applies to; the rest are float32.
      remat: recompute each block in the backward pass, which takes less memory and more time.

    Returns:
      The Gan, with a stage for each resolution from the base grid to the image's own.

    Raises:
      ValueError: naming the field, the value found and the values allowed.
    """
    checks.require_integers(1, z_dim=z_dim, w_dim=w_dim, mapping_layers=mapping_layers)
    checks.require_optional_integers(1, embed_features=embed_features, layer_features=layer_features)
    checks.require_positive(mapping_lr_multiplier=mapping_lr_multiplier, instance_norm_eps=instance_norm_eps)
    checks.require_shares(w_avg_beta=w_avg_beta)
    checks.require_booleans(use_noise=use_noise, remat=remat)
    checks.require_one_of(NOISE_MODES, noise_mode=noise_mode)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    checks.require_one_of(precision.DTYPES, dtype=dtype)
    both = {
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
    stddev = {
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
        image_shape=tuple(image_shape),
        num_classes=num_classes,
        d_layers=discriminator.layers,
        stages=pyramid.grids(*image_shape[:2]),
    )
