"""Sampling of images from the generator's average, and image grids."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh
from PIL import Image

from flaxgan import latent_prior, prng
from flaxgan.latent_prior import LatentPrior
from flaxgan.ops.image import to_uint8
from flaxgan.ops.resampling import nearest_upsample
from flaxgan.safe_write import naming
from flaxgan.train.distributed import device_mesh
from flaxgan.train.step.random_inputs import LabelSampler
from flaxgan.train.step.state import Average
from flaxgan.types import Gan

MIN_CELL_PX = 64
"""Images in grids whose larger side is shorter are enlarged by an integer factor."""


def sampler(
    gan: Gan, mesh: Mesh, options: Mapping[str, Any] | None = None, *, stage: int | None = None
) -> Callable[..., jax.Array]:
    """Returns a jitted function that samples images.

    Args:
      gan: the networks.
      mesh: the devices.
      options: keywords of the generator's call, such as truncation_psi. By default a style-based generator uses its
        constant noise, so that images change only if the weights or the latents do.
      stage: stage of a growing network, whose images are enlarged to the full size; None for other networks.

    Returns:
      (average, z [N, Z], labels, key, alpha) -> images uint8 [N, H, W, C] on every device, where alpha [] is the share
      of the newest block of a growing network. The function is traced once for each N.
    """
    options = options if options is not None else ({"noise_mode": "const"} if gan.has_style else {})

    def sample(average: Average, z: jax.Array, labels: jax.Array, key: jax.Array, alpha: jax.Array) -> jax.Array:
        z, labels = device_mesh.constrain_batch(mesh)((z, labels))
        growth = {} if stage is None else {"stage": stage, "alpha": alpha}
        keywords: dict[str, Any] = {**options, **growth}
        images: Any = gan.generator.apply(
            {"params": average.params, **average.variables},
            z,
            labels if gan.num_classes else None,
            rngs={"noise": key},
            **keywords,
        )
        return nearest_upsample(to_uint8(images), gan.image_shape[0] // images.shape[1])

    return jax.jit(sample, out_shardings=device_mesh.replicated(mesh))


def generate(
    sample: Callable[..., jax.Array],
    average: Average,
    z: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    alpha: float = 1.0,
) -> np.ndarray:
    """Samples images for any number of latents.

    All batches have the same size, so that the sampler is compiled once; the last one is padded.

    Args:
      sample: from `sampler`.
      average: the generator's average.
      z: latents [N, Z].
      labels: int32 [N] or float32 [N, K].
      batch_size: number of images in a batch.
      alpha: share of the newest block of a growing network, 0 to 1.

    Returns:
      Images uint8 [N, H, W, C].
    """
    share = np.float32(alpha)
    images = []
    for start, stop in _spans(len(z), batch_size):
        pad = batch_size - (stop - start)
        batch = [np.concatenate([x[start:stop], np.repeat(x[:1], pad, axis=0)]) for x in (z, labels)]
        images.append(np.asarray(sample(average, *batch, jax.random.key(start), share))[: stop - start])
    return np.concatenate(images)


def grid_shape(image_shape: tuple[int, int, int], num_classes: int) -> tuple[int, int]:
    """Returns (rows, columns) of the sample grid: about one screen, with one column per class if these fit."""
    height, width = (max(side, MIN_CELL_PX) for side in image_shape[:2])
    rows = int(np.clip(1080 // height, 4, 10))
    columns = num_classes if 1 < num_classes <= 32 else int(np.clip(1920 // width, 4, 32))
    return rows, columns


def grid_latents(
    gan: Gan,
    seed: int,
    rows: int,
    columns: int,
    *,
    vectors: LabelSampler | None = None,
    prior: LatentPrior = latent_prior.NORMAL,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the fixed latents and labels of the sample grid.

    Args:
      gan: the networks.
      seed: the seed of the run.
      rows: number of rows.
      columns: number of columns. Column j shows class j modulo the number of classes.
      vectors: sampler of label vectors, which draws one for each image instead; None for classes.
      prior: distribution of z.

    Returns:
      (z [rows * columns, Z], labels int32 [rows * columns] or float32 [rows * columns, K]).
    """
    key = prng.purpose_key(seed, "sample_grid")
    z = np.asarray(prior.draw(key, (rows * columns, gan.z_dim)))
    if vectors is not None:
        return z, np.asarray(vectors(prng.purpose_key(seed, "grid_labels"), (rows * columns,)))
    labels = np.tile(np.arange(columns) % max(gan.num_classes, 1), rows).astype(np.int32)
    return z, labels


def metric_latents(
    gan: Gan, seed: int, num_images: int, *, labels: LabelSampler, prior: LatentPrior = latent_prior.NORMAL
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the fixed latents and labels of the images that are generated for metrics.

    Args:
      gan: the networks.
      seed: the seed of the run.
      num_images: number of images.
      labels: sampler of labels.
      prior: distribution of z.

    Returns:
      (z [N, Z], labels int32 [N] or float32 [N, K]).
    """
    z = np.asarray(prior.draw(prng.purpose_key(seed, "metrics"), (num_images, gan.z_dim)))
    return z, np.asarray(labels(prng.purpose_key(seed, "metric_labels"), (num_images,)))


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Arranges images uint8 [N, H, W, C] row by row in one picture [H, W, C].

    Small images are enlarged by an integer factor and separated by a grey gap. Larger ones touch, as in the official
    code.
    """
    zoom = max(1, -(-MIN_CELL_PX // max(images.shape[1:3])))
    gap = 2 if zoom > 1 else 0
    images = np.repeat(np.repeat(images, zoom, axis=1), zoom, axis=2)
    images = np.pad(images, ((0, 0), (gap, gap), (gap, gap), (0, 0)), constant_values=128)
    rows = len(images) // columns
    _, height, width, channels = images.shape
    cells = images[: rows * columns].reshape(rows, columns, height, width, channels)
    return cells.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def save_picture(path: epath.Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, C] as a PNG."""
    with naming(path), path.open("wb") as file:
        to_picture(image).save(file, format="PNG")


def to_picture(image: np.ndarray) -> Image.Image:
    """Converts uint8 [H, W, C] to a picture: grey, RGB or RGBA, from the first 1, 3 or 4 of the channels."""
    channels = image.shape[2]
    if channels in (1, 2):
        return Image.fromarray(image[:, :, 0])
    return Image.fromarray(np.ascontiguousarray(image if channels == 4 else image[:, :, :3]))


def _spans(total: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, total)) for start in range(0, total, size))
