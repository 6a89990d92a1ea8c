"""The random inputs of a phase, drawn apart from their use: a test, a golden or a replay can supply its own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import struct

from flaxgan import augment, latent_prior
from flaxgan.latent_prior import LatentPrior
from flaxgan.train.step.forward import Latents
from flaxgan.types import Gan

LabelSampler = Callable[[jax.Array, tuple[int, ...]], jax.Array]
"""(key, shape) -> int32 labels of that shape, or float32 [*shape, K] vectors, distributed as in the data."""


class PhaseInputs(struct.PyTreeNode):
    """The random inputs of one phase. Every leaf starts with the axes [rounds, images of a round].

    Attributes:
      latents: those of the generated images. There is one key for each round, [rounds].
      image_noise: standard normal numbers for regularizers, [R, N, H, W, C], or None.
      uniform_noise: uniform numbers in [0, 1) of the same shape, or None.
      interpolation: one uniform number for each image, [R, N], or None.
      fake_draws: random numbers of the augmentation of generated images, or None.
      real_draws: the same of real images, or None.
      fake_noise: standard normal noise for D's generated images, [R, N, H, W, C], or None.
      real_noise: the same for its real images.
    """

    latents: Latents
    image_noise: jax.Array | None = None
    uniform_noise: jax.Array | None = None
    interpolation: jax.Array | None = None
    fake_draws: Any = None
    real_draws: Any = None
    fake_noise: jax.Array | None = None
    real_noise: jax.Array | None = None


def label_sampler(class_counts: npt.ArrayLike | None) -> LabelSampler:
    """Returns a sampler of labels with the classes' frequencies [K] in the data; all zeros without classes."""
    if class_counts is None:
        return lambda key, shape: jnp.zeros(shape, jnp.int32)
    log_frequencies = jnp.log(jnp.asarray(class_counts, float))
    return lambda key, shape: jax.random.categorical(key, log_frequencies, shape=shape).astype(jnp.int32)


def vector_sampler(vectors: np.ndarray) -> LabelSampler:
    """Returns a sampler of label vectors with their frequencies among those of the data, float [M, K]."""
    rows, counts = np.unique(vectors.astype(np.float32), axis=0, return_counts=True)
    ends = np.cumsum(counts).astype(np.int32)
    small = np.clip(rows, 0, 255).astype(np.uint8)
    # The table becomes part of each program: keep it small.
    table: np.ndarray = small if np.array_equal(small, rows) else rows

    def sample(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        numbers = jax.random.randint(key, shape, 0, int(ends[-1]))
        return jnp.asarray(table)[jnp.searchsorted(jnp.asarray(ends), numbers, side="right")].astype(jnp.float32)

    return sample


def sampler_of(labels: np.ndarray, num_classes: int) -> LabelSampler:
    """Returns a sampler of labels with their frequencies among given ones.

    Args:
      labels: classes, int [M], or label vectors, [M, K].
      num_classes: number of classes, or K; 0 draws zeros.
    """
    if not num_classes:
        return label_sampler(None)
    if labels.ndim == 2:
        return vector_sampler(labels)
    return label_sampler(np.bincount(labels, minlength=num_classes))


def draw_latents(
    key: jax.Array,
    gan: Gan,
    shape: tuple[int, int],
    *,
    labels: LabelSampler,
    mixing_probability: float,
    prior: LatentPrior = latent_prior.NORMAL,
    stage: int | None = None,
) -> Latents:
    """Draws latents for [rounds, images of a round].

    Args:
      key: one key for all.
      gan: the networks.
      shape: (rounds, images of a round).
      labels: sampler of labels.
      mixing_probability: share of images that are mixed of two latents.
      prior: distribution of z.
      stage: of a growing network, which uses the styles of the layers up to it; None uses all.
    """
    z_key, label_key, noise_key, mix_key = jax.random.split(key, 4)
    latents = Latents(
        z=prior.draw(z_key, (*shape, gan.z_dim)),
        labels=labels(label_key, shape),
        noise_key=jax.random.split(noise_key, shape[0]),
    )
    if not mixing_probability:
        return latents
    z_key, coin_key, layer_key = jax.random.split(mix_key, 3)
    num_layers = gan.generator.num_ws
    in_use = num_layers if stage is None else num_layers * (stage + 1) // len(gan.stages)
    mixed = jax.random.bernoulli(coin_key, mixing_probability, shape)
    crossover = jax.random.randint(layer_key, shape, 1, in_use)
    return latents.replace(
        z_mix=prior.draw(z_key, (*shape, gan.z_dim)), mix_from=jnp.where(mixed, crossover, num_layers)
    )


def draw_augmentation(key: jax.Array, spec: Any, shape: tuple[int, int], image_shape: tuple[int, int, int]) -> Any:
    """Draws the augmentation's random numbers for [rounds, images of a round]; None without augmentation."""
    if spec is None:
        return None
    draw = lambda key: augment.draw(key, spec, shape[1], image_shape)
    return jax.vmap(draw)(jax.random.split(key, shape[0]))
