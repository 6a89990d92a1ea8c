"""Perceptual path length, the perceptual change of the image for a small step of the latent."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxgan import latent_prior
from flaxgan.errors import FieldError, Words
from flaxgan.latent_prior import LatentPrior
from flaxgan.metrics.detector_images import detector_images
from flaxgan.metrics.interpolation import lerp, slerp


@dataclasses.dataclass(frozen=True)
class PathOptions:
    """Options of the measurement of a path.

    Attributes:
      epsilon: length of the step along the path, whose total length is 1.
      space: "z" (spherical interpolation of z, then the mapping) or "w" (linear interpolation of w).
      sampling: "full" (steps anywhere on the path) or "end" (steps at its beginning, so that truncation artefacts
        between the two ends do not count).
      crop: whether to measure only the centre of the image, as for faces: rows 3/8 to 7/8, columns 2/8 to 6/8.
    """

    epsilon: float = 1e-4
    space: str = "w"
    sampling: str = "end"
    crop: bool = False

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise FieldError("epsilon", self.epsilon, "above 0")
        if self.space not in ("z", "w"):
            raise FieldError("space", self.space, "z, w")
        if self.sampling not in ("full", "end"):
            raise FieldError("sampling", self.sampling, "full, end")


class PathPairs(NamedTuple):
    """The two ends of each path and the positions at which steps begin.

    Attributes:
      z0: float [N, Z].
      z1: float [N, Z].
      positions: float [N] in [0, 1); ignored with sampling "end".
    """

    z0: jax.Array
    z1: jax.Array
    positions: jax.Array


class PathNetworks(NamedTuple):
    """The functions from latents to features, with parameters and noise bound.

    Attributes:
      map_latents: (z [N, Z], labels) -> w [N, ...], of any shape after N.
      synthesize: w -> images [N, H, W, C] in [-1, 1]. It must use the same noise for both ends of a step.
      image_features: images [N, H', W', 3] in [0, 255] -> [N, F], whose squared differences sum to the perceptual
        distance (LPIPS as one vector).
    """

    map_latents: Callable[[jax.Array, jax.Array | None], jax.Array]
    synthesize: Callable[[jax.Array], jax.Array]
    image_features: Callable[[jax.Array], jax.Array]


def draw_path_pairs(key: jax.Array, *, count: int, z_dim: int, prior: LatentPrior = latent_prior.NORMAL) -> PathPairs:
    """Draws the ends, distributed as the prior, and uniformly distributed positions of `count` paths."""
    positions_key, z0_key, z1_key = jax.random.split(key, 3)
    shape = (count, z_dim)
    positions = jax.random.uniform(positions_key, (count,))
    return PathPairs(prior.draw(z0_key, shape), prior.draw(z1_key, shape), positions)


def path_distances(
    networks: PathNetworks, pairs: PathPairs, *, labels: jax.Array | None, options: PathOptions
) -> jax.Array:
    """Computes the perceptual distance over a short step on each path, divided by the squared length of the step.

    It is a finite difference: in float32, with a step of 1e-4, rounding errors are about 1e-2 of a distance.

    Args:
      networks: the generator and the detector.
      pairs: N paths.
      labels: class labels of the N paths, passed to the mapping; None if it takes none.
      options: position of the step and crop of the image.

    Returns:
      Distances [N].

    Raises:
      FieldError: on shapes that do not agree.

    References:
      Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks", section 4.1;
      Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 3.
    """
    _check_pairs(pairs)
    begin, end = _step_latents(networks.map_latents, pairs, labels=labels, options=options)
    images = networks.synthesize(jnp.concatenate([begin, end]))  # [2 N, H, W, C]
    begin_features, end_features = jnp.split(networks.image_features(detector_images(images, crop=options.crop)), 2)
    return squared_feature_distance(begin_features, end_features, epsilon=options.epsilon)


def squared_feature_distance(begin: jax.Array, end: jax.Array, *, epsilon: float) -> jax.Array:
    """Computes the squared distance between features [N, F], divided by the square of epsilon: [N]."""
    if begin.shape != end.shape or begin.ndim != 2:
        raise FieldError("begin, end", Words(f"shapes {begin.shape}, {end.shape}"), "one shape [N, F]")
    return jnp.sum(jnp.square(begin - end), axis=-1) / epsilon**2


def reduce_path_distances(
    distances: np.ndarray, *, low_percentile: float = 1.0, high_percentile: float = 99.0
) -> float:
    """Computes the perceptual path length, the mean distance without the outliers at both ends.

    The limits are order statistics, the lower one rounded down, the upper one rounded up; distances equal to a limit
    are kept.

    Args:
      distances: [N], from `path_distances`.
      low_percentile: 0 to 100; distances below it are excluded.
      high_percentile: low_percentile to 100; distances above it are excluded.

    Raises:
      FieldError: on another shape, non-finite distances, or percentiles out of range.
    """
    distances = np.asarray(distances, np.float64)
    if distances.ndim != 1 or len(distances) == 0 or not np.isfinite(distances).all():
        raise FieldError("distances", Words(f"shape {distances.shape}"), "[N], N of at least 1, finite values")
    low, high = percentile_limits(distances, low_percentile=low_percentile, high_percentile=high_percentile)
    return float(distances[(distances >= low) & (distances <= high)].mean())


def percentile_limits(distances: np.ndarray, *, low_percentile: float, high_percentile: float) -> tuple[float, float]:
    """Returns the order statistics of distances [N] at the low percentile, rounded down, and the high, rounded up."""
    if not 0 <= low_percentile <= high_percentile <= 100:
        found = Words(f"{low_percentile}, {high_percentile}")
        raise FieldError("low_percentile, high_percentile", found, "0 <= low <= high <= 100")
    low = np.percentile(distances, low_percentile, method="lower")
    return float(low), float(np.percentile(distances, high_percentile, method="higher"))


def _step_latents(
    map_latents: Callable, pairs: PathPairs, *, labels: jax.Array | None, options: PathOptions
) -> tuple[jax.Array, jax.Array]:
    """Computes the latents w at the beginning and at the end of the step on each path."""
    start = pairs.positions if options.sampling == "full" else jnp.zeros_like(pairs.positions)
    if options.space == "z":
        zs = [slerp(pairs.z0, pairs.z1, t[:, None]) for t in (start, start + options.epsilon)]
        begin, end = jnp.split(map_latents(jnp.concatenate(zs), _twice(labels)), 2)
        return begin, end
    w0, w1 = jnp.split(map_latents(jnp.concatenate([pairs.z0, pairs.z1]), _twice(labels)), 2)
    start = start.reshape(-1, *[1] * (w0.ndim - 1))
    return lerp(w0, w1, start), lerp(w0, w1, start + options.epsilon)


def _twice(labels: jax.Array | None) -> jax.Array | None:
    return None if labels is None else jnp.concatenate([labels, labels])


def _check_pairs(pairs: PathPairs) -> None:
    shape = jnp.shape(pairs.z0)
    if len(shape) != 2 or jnp.shape(pairs.z1) != shape or jnp.shape(pairs.positions) != shape[:1]:
        found = f"{shape}, {jnp.shape(pairs.z1)}, {jnp.shape(pairs.positions)}"
        raise FieldError("z0, z1, positions", Words(f"shapes {found}"), "[N, Z], [N, Z], [N]")
