"""Running the two networks of a `Gan` as pure functions of parameters, variables and drawn inputs.

`growth` are the keywords `stage` and `alpha` of networks that grow; other networks are given none.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from flaxgan.types import DiscriminatorOutput, Gan


class Latents(struct.PyTreeNode):
    """What a generator is fed with.

    Attributes:
      z: random numbers of the run's prior, [N, Z].
      labels: int32 [N] (ignored by unconditional networks).
      noise_key: key of the noise inputs.
      z_mix: second latents for style mixing, [N, Z], or None.
      mix_from: first layer that takes its style from `z_mix`, int32 [N]; the number of layers mixes nothing.
    """

    z: jax.Array
    labels: jax.Array
    noise_key: jax.Array
    z_mix: jax.Array | None = None
    mix_from: jax.Array | None = None


Growth = Mapping[str, Any]
NO_GROWTH: Growth = {}


class Generated(NamedTuple):
    """Images float [N, H, W, C], and the generator's updated variables."""

    images: jax.Array
    variables: Any


def generate(gan: Gan, params: Any, variables: Any, latents: Latents, growth: Growth = NO_GROWTH) -> Generated:
    """Generates images as training does: with batch statistics, style mixing and the training noise."""
    if gan.has_style:
        ws, variables = map_latents(gan, params, variables, latents)
        return Generated(synthesize(gan, params, variables, ws, latents.noise_key, growth), variables)
    images, changed = gan.generator.apply(
        {"params": params, **variables},
        latents.z,
        _labels(gan, latents.labels),
        train=True,
        rngs={"noise": latents.noise_key},
        mutable=list(variables),
        **growth,
    )
    return Generated(images, {**variables, **changed})


def map_latents(gan: Gan, params: Any, variables: Any, latents: Latents) -> tuple[jax.Array, Any]:
    """Returns ws [N, L, D] of a style-based generator, mixed as the latents say, and the updated variables (w_avg).

    Only the first mapping updates w_avg, as in the official code.

    References:
      Karras et al. 2019 (StyleGAN), section 3.1, "mixing regularization". The official code draws one crossover per
      device; here every image has its own.
    """
    labels = _labels(gan, latents.labels)
    ws, changed = gan.generator.apply(
        {"params": params, **variables}, latents.z, labels, train=True, method="map", mutable=list(variables)
    )
    variables = {**variables, **changed}
    if latents.z_mix is None or latents.mix_from is None:
        return ws, variables
    other: Any = gan.generator.apply({"params": params, **variables}, latents.z_mix, labels, method="map")
    layer = jnp.arange(ws.shape[1])[None, :, None]  # [1, L, 1]
    return jnp.where(layer < latents.mix_from[:, None, None], ws, other), variables


def synthesize(
    gan: Gan, params: Any, variables: Any, ws: jax.Array, noise_key: jax.Array, growth: Growth = NO_GROWTH
) -> jax.Array:
    """Returns images [N, H, W, C] of a style-based generator from ws [N, L, D], with the training noise."""
    variables = {"params": params, **variables}
    images: Any = gan.generator.apply(variables, ws, method="synthesize", rngs={"noise": noise_key}, **growth)
    return images


def discriminate(
    gan: Gan, params: Any, variables: Any, images: jax.Array, labels: jax.Array, growth: Growth = NO_GROWTH
) -> tuple[DiscriminatorOutput, Any]:
    """Returns D's output for images [N, H, W, C] in training, and its updated variables."""
    output, changed = gan.discriminator.apply(
        {"params": params, **variables}, images, _labels(gan, labels), train=True, mutable=list(variables), **growth
    )
    return output, {**variables, **changed}


def _labels(gan: Gan, labels: jax.Array) -> jax.Array | None:
    return labels if gan.num_classes else None
