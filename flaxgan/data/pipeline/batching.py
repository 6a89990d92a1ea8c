"""Training images in batches: global batch t is a pure function of (seed, t), for any number of processes."""

import functools
import os
from collections.abc import Iterator

import grain
import numpy as np

from flaxgan.data.pipeline import shuffle
from flaxgan.data.source import Source
from flaxgan.errors import FieldError, Words

Batch = dict[str, np.ndarray]

_MAX_DEFAULT_THREADS = 16
_ENDLESS = 2**62  # chunks


def batches(
    source: Source,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    first_image: int = 0,
    mirror: bool = False,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int | None = None,
) -> Iterator[Batch]:
    """Yields this process's rows of global batches start, start + 1, ... without end.

    The images are reshuffled in every epoch. An epoch may end inside a batch. The global batch is the concatenation of
    the rows of all processes in their order, and does not depend on the number of processes.

    Args:
      source: the images.
      batch_size: images in a global batch, divisible by process_count.
      seed: seed of the order and of the flips, 0 to 2**32 - 1.
      start: number of the first global batch.
      first_image: position of the first image of batch 0 in the endless order, for a run whose batch size changes.
      mirror: whether each image is flipped left to right with probability 1/2.
      process_index: number of this process.
      process_count: number of processes.
      num_threads: batches that are read at the same time, each by one thread; None is the number of cores, at most 16.

    Returns:
      An iterator over {"images": uint8 [B / process_count, H, W, C], "labels": int32 [B / process_count] or float32
      [B / process_count, K], "flip": bool [B / process_count]}. The labels are zeros if the source has none. The images
      are not flipped yet: the training step flips those whose `flip` is True, see `flaxgan.ops.image.flip_where`.
      Without mirror every `flip` is False. `close` stops the threads.

    Raises:
      FieldError: immediately, if an argument is out of range.
      ImageError: from the iterator, if an image cannot be used; the message names the image.
    """
    for name, value in (("start", start), ("first_image", first_image)):
        if value < 0:
            raise FieldError(name, value, "0 or larger")
    threads = min(os.cpu_count() or 1, _MAX_DEFAULT_THREADS) if num_threads is None else num_threads
    if threads < 1:
        raise FieldError("num_threads", threads, "1 or larger")
    process = (process_index, process_count)
    dataset = _local_batches(source, batch_size, seed=seed, mirror=mirror, process=process, first_image=first_image)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    return _iterate(dataset[start:].to_iter_dataset(options))


def batch_at(
    source: Source,
    step: int,
    *,
    batch_size: int,
    seed: int,
    mirror: bool = False,
    process_index: int = 0,
    process_count: int = 1,
) -> Batch:
    """Returns this process's rows of one global batch, as `batches` yields them; see there for the arguments."""
    if step < 0:
        raise FieldError("step", step, "0 or larger")
    return _local_batches(source, batch_size, seed=seed, mirror=mirror, process=(process_index, process_count))[step]


def first_images(source: Source, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first n images in the order of `batches`, without flips.

    Returns:
      Images, uint8 [n, H, W, C], and labels, int32 [n] or float32 [n, K], zeros without labels.
    """
    return _read(source, shuffle.image_indices(len(source), seed, 0, n))


def by_class(source: Source, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random images for a grid with class k in column k; a class without images is black.

    Args:
      source: a source with classes.
      rows: number of images of each class; they are repeated if a class has fewer.
      seed: seed of the choice of images.

    Returns:
      Images, uint8 [rows * num_classes, H, W, C], row after row, and labels, int32 [rows * num_classes].

    Raises:
      FieldError: if the images have no classes.
    """
    if source.labels is None or source.labels.ndim > 1:
        description = Words(source.description)
        raise FieldError("config.data.labels", description, "for a grid of classes, images that have classes")
    shuffled = shuffle.image_indices(len(source), seed, 0, len(source))
    members = [shuffled[source.labels[shuffled] == label] for label in range(source.num_classes)]
    images = np.zeros((rows, source.num_classes, *source.image_shape), np.uint8)
    for label, indices in enumerate(members):
        if len(indices):
            found, found_labels = _read(source, np.resize(indices, rows))
            usable = np.flatnonzero(
                found_labels == label
            )  # The replacement of a skipped image may be of another class.
            images[:, label] = found[np.resize(usable, rows)] if len(usable) else 0
    labels = np.tile(np.arange(source.num_classes, dtype=np.int32), rows)
    return images.reshape(-1, *source.image_shape), labels


def all_images(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Returns all images and labels in the order of the source, for sets that fit in memory.

    Returns:
      Images, uint8 [M, H, W, C], and labels, int32 [M] or float32 [M, K], zeros without labels.
    """
    return _read(source, np.arange(len(source)))


def _iterate(dataset: grain.IterDataset) -> Iterator[Batch]:
    iterator = iter(dataset)
    try:
        yield from iterator
    finally:
        iterator.close()


def _local_batches(
    source: Source, batch_size: int, *, seed: int, mirror: bool, process: tuple[int, int], first_image: int = 0
) -> grain.MapDataset[Batch]:
    index, count = process
    if not 0 <= index < count:
        raise FieldError("process_index", index, f"0 to process_count - 1 = {count - 1}")
    if batch_size < 1 or batch_size % count:
        raise FieldError("batch_size", batch_size, f"a positive multiple of the {count} processes")
    if not 0 <= seed < 2**32:
        raise FieldError("seed", seed, "0 to 2**32 - 1")
    # Each process takes consecutive rows of the global batch, which is where jax.make_array_from_process_local_data
    # puts them: chunk c of all chunks belongs to process c % count.
    chunks = grain.MapDataset.range(_ENDLESS)
    load = functools.partial(_load, source, seed=seed, mirror=mirror, count=batch_size // count, offset=first_image)
    return chunks[index::count].map(load)


def _load(source: Source, chunk: int, *, seed: int, mirror: bool, count: int, offset: int) -> Batch:
    """Reads images offset + chunk * count, offset + chunk * count + 1, ... of the endless order."""
    first = offset + chunk * count
    images, labels = source.read_many(shuffle.image_indices(len(source), seed, first, count).tolist())
    flip = shuffle.flips(seed, first, count) if mirror else np.zeros(count, bool)
    return {"images": images, "labels": labels, "flip": flip}


def _read(source: Source, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reads images one by one in this process: a few images are not worth starting worker processes."""
    images, labels = source.empty(len(indices))
    for row, index in enumerate(indices.tolist()):
        images[row], labels[row] = source[index]
    return images, labels
