"""Images from the generator's average, and grids of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh
from PIL import Image

from flaxgan import prng
from flaxgan.ops.image import to_uint8
from flaxgan.ops.resampling import nearest_upsample
from flaxgan.safe_write import naming
from flaxgan.train.distributed import device_mesh
from flaxgan.train.step.random_inputs import LabelSampler
from flaxgan.train.step.state import Average
from flaxgan.types import Gan

MIN_CELL_PX = 64
"""Smaller images are enlarged by a whole factor in grids, so that a person can see them."""


def sampler(
    gan: Gan, mesh: Mesh, options: Mapping[str, Any] | None = None, *, stage: int | None = None
) -> Callable[..., jax.Array]:
    """The compiled function (average, z, labels, key, alpha) -> uint8 images [N, H, W, C] on every device.

    Args:
      gan: the networks.
      mesh: the devices.
      options: arguments of the generator's call, such as truncation_psi. By default a style-based generator uses its
        constant noise, so that images change only where the weights or the latents do.
      stage: of a growing network; its images are enlarged to the full size. alpha is the share of its newest block.
    """
    options = options if options is not None else ({"noise_mode": "const"} if gan.has_style else {})

    def sample(average: Average, z: jax.Array, labels: jax.Array, key: jax.Array, alpha: jax.Array) -> jax.Array:
        z, labels = device_mesh.constrain_batch(mesh)((z, labels))
        growth = {} if stage is None else {"stage": stage, "alpha": alpha}
        images = gan.generator.apply(
            {"params": average.params, **average.variables},
            z,
            labels if gan.num_classes else None,
            rngs={"noise": key},
            **options,
            **growth,
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
    """Images uint8 [N, H, W, C] for any number of latents, in batches of one size so that one program serves all."""
    alpha = np.float32(alpha)
    images = []
    for start, stop in _spans(len(z), batch_size):
        pad = batch_size - (stop - start)
        batch = [np.concatenate([x[start:stop], np.repeat(x[:1], pad, axis=0)]) for x in (z, labels)]
        images.append(np.asarray(sample(average, *batch, jax.random.key(start), alpha))[: stop - start])
    return np.concatenate(images)


def grid_shape(image_shape: tuple[int, int, int], num_classes: int) -> tuple[int, int]:
    """(rows, columns) of the sample grid: one column per class where that fits, and about a screen of images."""
    height, width = (max(side, MIN_CELL_PX) for side in image_shape[:2])
    rows = int(np.clip(1080 // height, 4, 10))
    columns = num_classes if 1 < num_classes <= 32 else int(np.clip(1920 // width, 4, 32))
    return rows, columns


def grid_latents(
    gan: Gan, seed: int, rows: int, columns: int, *, vectors: LabelSampler | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fixed latents z [rows * columns, Z] and labels: column j shows class j modulo the number of classes.

    A sampler of label vectors draws a fixed one for each image instead.
    """
    key = prng.purpose_key(seed, "sample_grid")
    z = np.asarray(jax.random.normal(key, (rows * columns, gan.z_dim)))
    if vectors is not None:
        return z, np.asarray(vectors(prng.purpose_key(seed, "grid_labels"), (rows * columns,)))
    labels = np.tile(np.arange(columns) % max(gan.num_classes, 1), rows).astype(np.int32)
    return z, labels


def metric_latents(
    gan: Gan, seed: int, num_images: int, *, vectors: LabelSampler | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fixed latents z [N, Z] for measures, and balanced labels [N], or vectors [N, K] from their sampler."""
    z = np.asarray(jax.random.normal(prng.purpose_key(seed, "metrics"), (num_images, gan.z_dim)))
    if vectors is not None:
        return z, np.asarray(vectors(prng.purpose_key(seed, "metric_labels"), (num_images,)))
    return z, (np.arange(num_images) % max(gan.num_classes, 1)).astype(np.int32)


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Images uint8 [N, H, W, C] as one picture [H, W, C], row by row.

    Small images are enlarged by a whole factor and set apart by a grey gap; larger ones touch, as in the official code.
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
    """A picture of uint8 [H, W, C]: grey, RGB or RGBA; of other channel counts the first three, or the first."""
    channels = image.shape[2]
    if channels in (1, 2):
        return Image.fromarray(image[:, :, 0])
    return Image.fromarray(np.ascontiguousarray(image if channels == 4 else image[:, :, :3]))


def _spans(total: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, total)) for start in range(0, total, size))
