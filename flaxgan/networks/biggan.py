"""BigGAN and BigGAN-deep.

References:
  Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", appendix B.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.networks import _biggan_plan
from flaxgan.networks import _checks as checks
from flaxgan.networks import _classic_fields as fields
from flaxgan.nn import pyramid
from flaxgan.nn.biggan_blocks import RATIO, VectorNormConfig
from flaxgan.nn.biggan_networks import Discriminator, GeneratorBody
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Embed, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.residual import INITIALIZERS, kernel_init
from flaxgan.ops.one_hot import class_vectors
from flaxgan.types import Gan

G_NORMS = ("conditional", "self_modulated", "batch")

_CHUNK = 20  # Width of a chunk of z in the paper: z has 6 x 20 numbers at 128x128, 140 at 256x256, 160 at 512x512.
_Z_DIM = 128  # Width of a z that is not split.
_ATTENTION_PX = 64


class Generator(nn.Module):
    """Maps latents and classes to images; the norms of every block take the class and a chunk of the latent.

    With norms conditioned on vectors, those of block i take the class embedding concatenated with chunk i of z
    (`hierarchical`), and the dense layer takes chunk 0; in BigGAN-deep, all take the class embedding concatenated with
    z. With other norms the dense layer takes z. Self-modulation takes z, or z' = z + E(c) + E'(c) * z with classes.

    Submodules: body; shared, the class embedding, or latent (E and E').

    Attributes:
      body: network from latents and conditions to images.
      num_classes: number of classes K; 0 is unconditional, and labels are then ignored.
      shared_dim: width of the class embedding; with 0 the norms take the one-hot class.
      hierarchical: whether the norms take z or a chunk of it.
      initializer: initializer of the class embedding, one of `flaxgan.nn.residual.INITIALIZERS`.
    """

    body: GeneratorBody
    num_classes: int = 0
    shared_dim: int = 128
    hierarchical: bool = True
    initializer: str = "orthogonal"

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Generates images.

        Args:
          z: latents [N, Z], N(0, I).
          labels: int32 [N] or float [N, K]; ignored without classes.
          train: whether to use the statistics of the batch; "batch_stats" and "spectral" must then be mutable.

        Returns:
          Images [N, H, W, C] in [-1, 1], float32, or float64 if z is.

        Raises:
          FieldError: if there are classes, and labels are missing.
        """
        num_blocks = len(self.body.channels) - 1
        if isinstance(self.body.norm, NormConfig):
            return self.body(z, [self.body.norm.condition(z, labels)] * num_blocks, train=train)
        classes = self._classes(labels) if self.num_classes else jnp.zeros((z.shape[0], 0), z.dtype)
        if not self.hierarchical:
            return self.body(z, [Condition(classes)] * num_blocks, train=train)
        if self.body.depth:
            joined = jnp.concatenate([classes, z], axis=-1)
            return self.body(joined, [Condition(joined)] * num_blocks, train=train)
        first, *chunks = jnp.split(z, num_blocks + 1, axis=-1)
        conditions = [Condition(jnp.concatenate([classes, chunk], axis=-1)) for chunk in chunks]
        return self.body(first, conditions, train=train)

    def _classes(self, labels: jax.Array | None) -> jax.Array:
        """Returns class vectors [N, shared_dim], or [N, K]."""
        if self.shared_dim == 0:
            return class_vectors(labels, self.num_classes)
        init = kernel_init(self.initializer)
        # Without spectral normalization, as in the official code.
        return Embed(self.num_classes, self.shared_dim, embedding_init=init, name="shared")(labels)


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    z_dim: int | None = None,
    g_norm: str = "conditional",
    shared_dim: int = 128,
    hierarchical: bool | None = None,
    g_channels: int = 96,
    g_multipliers: tuple[int, ...] | None = None,
    g_attention_px: tuple[int, ...] | None = None,
    g_depth: int = 2,
    g_spectral: bool = True,
    d_channels: int = 96,
    d_multipliers: tuple[int, ...] | None = None,
    d_attention_px: tuple[int, ...] | None = None,
    d_depth: int = 2,
    d_wide: bool = True,
    d_activated_shortcut: bool = False,
    d_spectral: bool = True,
    deep: bool = False,
    initializer: str = "orthogonal",
    spectral_eps: float = 1e-6,
    spectral_iterations: int = 1,
    spectral_eval_iterates: bool = True,
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
    norm_unbiased: bool = True,
    hidden: int | None = 32,
    dtype: str = "float32",
) -> Gan:
    """Builds the networks of BigGAN or BigGAN-deep. The defaults are those at 128x128.

    The generator's channels are g_channels * g_multipliers, from the base grid on. The discriminator's channels are
    d_channels * d_multipliers, for each block; in BigGAN-deep, for a first convolution and each group of blocks.
    None takes the published multipliers.

    Conditional norms take the class embedding. With hierarchical=True they also take a chunk of z for each block (in
    BigGAN-deep, all of z); None is True with 'conditional' norms, unless shared_dim is 0 with classes.

    d_activated_shortcut is for weights from libraries in which a ReLU overwrites the input of a block. The class
    embeddings of the generator are not spectrally normalized.

    Args:
      image_shape: (H, W, C); H and W are a small base grid (4x4, 4x6, 5x7, ...) times a power of two.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      z_dim: width of the latent z; None is 20 for the dense layer and for each block if z is split, else 128.
      g_norm: 'conditional' on classes and z, 'self_modulated' by z and classes, or, without classes only, 'batch'.
      shared_dim: width of the class embedding that all norms share; 0 gives each norm gains and offsets by class.
      hierarchical: whether the conditional norms of each block take a chunk of z; None is the default above.
      g_channels: width of the generator, of which the channels are multiples.
      g_multipliers: multiples of g_channels for each grid, the base grid first; None takes the published ones.
      g_attention_px: resolutions of self-attention in the generator; None is 64, or the next below, for larger images.
      g_depth: number of generator blocks for each doubling, in BigGAN-deep.
      g_spectral: whether the generator, except class embeddings, is spectrally normalized.
      d_channels: width of the discriminator, of which the channels are multiples.
      d_multipliers: multiples of d_channels for each block; None takes the published ones.
      d_attention_px: resolutions of self-attention in the discriminator; None is as for g_attention_px.
      d_depth: number of discriminator blocks in a group, in BigGAN-deep.
      d_wide: whether blocks of the discriminator widen in their first convolution instead of the second.
      d_activated_shortcut: whether shortcuts of the discriminator take the input of their block after the ReLU.
      d_spectral: whether the discriminator is spectrally normalized.
      deep: whether to build BigGAN-deep.
      initializer: initializer of kernels and embeddings, one of flaxgan.nn.residual.INITIALIZERS.
      spectral_eps: least length by which spectral normalization divides a vector.
      spectral_iterations: number of power iterations of spectral normalization in a training step.
      spectral_eval_iterates: whether evaluation makes one power iteration, too, without storing it.
      norm_eps: epsilon added to variances.
      norm_momentum: weight of the new batch in running statistics.
      norm_unbiased: whether running variances are unbiased.
      hidden: width of the hidden layers of self-modulation; None has no hidden layers.
      dtype: compute type of the layers: 'float32' or 'bfloat16'.

    Returns:
      The Gan.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    pyramid.require_buildable(image_shape)
    checks.require_integers(0, num_classes=num_classes, shared_dim=shared_dim)
    checks.require_integers(1, g_channels=g_channels, d_channels=d_channels, g_depth=g_depth, d_depth=d_depth)
    checks.require_integers(1, spectral_iterations=spectral_iterations)
    checks.require_optional_integers(1, z_dim=z_dim, hidden=hidden)
    checks.require_one_of(G_NORMS, g_norm=g_norm)
    checks.require_one_of(INITIALIZERS, initializer=initializer)
    checks.require_booleans(deep=deep, d_wide=d_wide, d_activated_shortcut=d_activated_shortcut)
    checks.require_booleans(g_spectral=g_spectral, d_spectral=d_spectral)
    checks.require_booleans(spectral_eval_iterates=spectral_eval_iterates, norm_unbiased=norm_unbiased)
    checks.require_positive(spectral_eps=spectral_eps, norm_eps=norm_eps)
    checks.require_shares(norm_momentum=norm_momentum)

    image_shape = checks.shape_of(image_shape)
    hierarchical = _checked_hierarchical(hierarchical, g_norm, num_classes=num_classes, shared_dim=shared_dim)
    g_widths = _biggan_plan.generator_channels(image_shape, g_channels, g_multipliers)
    d_widths = _biggan_plan.discriminator_channels(image_shape, d_channels, d_multipliers)
    if deep:
        shares = hierarchical or g_norm != "conditional"
        checks.require(shares, "hierarchical", hierarchical, "None or True, and shared_dim above 0, in BigGAN-deep")
        _check_deep("g_", g_widths[::-1])
        _check_deep("d_", d_widths)
    spectral = SpectralNorm(spectral_eps, spectral_iterations, spectral_eval_iterates)
    statistics: dict[str, Any] = {"eps": norm_eps, "momentum": norm_momentum, "unbiased": norm_unbiased}
    norm: NormConfig | VectorNormConfig
    if g_norm == "conditional":
        # With shared_dim 0 these norms are class embeddings, which are not normalized in G.
        is_table = num_classes > 0 and shared_dim == 0
        statistics |= {"spectral": spectral if g_spectral and not is_table else None}
        norm = VectorNormConfig(**statistics, initializer=initializer)
    else:
        statistics |= {"spectral": spectral if g_spectral else None}
        norm = fields.checked_norm(g_norm, num_classes, **statistics, hidden=hidden)
    default_px = _ATTENTION_PX if pyramid.resolution(image_shape[:2]) > _ATTENTION_PX else 0
    both: dict[str, Any] = {"initializer": initializer, "dtype": fields.compute_dtype(dtype)}
    g_outputs = _biggan_plan.generator_outputs(image_shape)
    body = GeneratorBody(
        image_shape,
        g_widths,
        norm,
        _biggan_plan.attention_blocks(g_outputs, default_px=default_px, g_attention_px=g_attention_px),
        depth=g_depth if deep else 0,
        spectral=spectral if g_spectral else None,
        **both,
    )
    d_outputs = _biggan_plan.discriminator_outputs(image_shape, len(d_widths) - deep)
    discriminator = Discriminator(
        image_shape,
        d_widths,
        _biggan_plan.downsamples(image_shape),
        num_classes,
        _biggan_plan.attention_blocks(d_outputs, default_px=default_px, d_attention_px=d_attention_px),
        hidden_channels=None if d_wide or deep else (image_shape[2], *d_widths[:-1]),
        activated_shortcut=d_activated_shortcut,
        depth=d_depth if deep else 0,
        spectral=spectral if d_spectral else None,
        **both,
    )
    return Gan(
        generator=Generator(body, num_classes, shared_dim, hierarchical, initializer),
        discriminator=discriminator,
        z_dim=_checked_z_dim(z_dim, len(g_widths) if hierarchical and not deep else 1),
        image_shape=image_shape,
        num_classes=num_classes,
        d_layers=discriminator.layers,
    )


def _checked_hierarchical(hierarchical: bool | None, g_norm: str, *, num_classes: int, shared_dim: int) -> bool:
    """Returns whether norms take z, after checking it against the other fields; None is the default."""
    is_table = num_classes > 0 and shared_dim == 0
    if hierarchical is None:
        hierarchical = g_norm == "conditional" and not is_table
    checks.require_booleans(hierarchical=hierarchical)
    if hierarchical:
        checks.require(g_norm == "conditional", "hierarchical", True, f"None or False with g_norm {g_norm!r}")
        checks.require(not is_table, "hierarchical", True, "None or False with shared_dim 0")
    elif g_norm == "conditional":
        allowed = "None or True with g_norm 'conditional' and without labels (data.num_classes is 0)"
        checks.require(num_classes > 0, "hierarchical", False, allowed)
    return hierarchical


def _checked_z_dim(z_dim: int | None, chunks: int) -> int:
    """Returns the width of z, a multiple of the number of its chunks."""
    if z_dim is None:
        return _CHUNK * chunks if chunks > 1 else _Z_DIM
    allowed = f"None or a multiple of {chunks}: a chunk for the dense layer and for each block"
    checks.require(z_dim % chunks == 0, "z_dim", z_dim, allowed)
    return z_dim


def _check_deep(prefix: str, widths: tuple[int, ...]) -> None:
    """Checks that there are enough channels for BigGAN-deep, and none fewer nearer to the base grid."""
    allowed = f"at least {RATIO} channels everywhere in BigGAN-deep"
    checks.require(min(widths) >= RATIO, f"{prefix}channels", widths, allowed)
    allowed = "channels that do not fall from the image to the base grid in BigGAN-deep"
    checks.require(list(widths) == sorted(widths), f"{prefix}multipliers", widths, allowed)
