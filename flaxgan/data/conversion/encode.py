"""Images of a source as PNG files, encoded by several threads and given in order."""

import collections
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from flaxgan.data.conversion.journal import Row
from flaxgan.data.errors import ImageError
from flaxgan.data.source import Source

# 6% larger than Pillow's own choice, 6, and encoded twice to three times as fast (photos of 64 to 427 pixels).
_COMPRESSION = 1
_TASK_BYTES = 1 << 22
_MAX_TASK_IMAGES = 32
_TASKS_AHEAD = 3  # for each thread


def encoded_images(source: Source, first: int, workers: int) -> Iterator[tuple[Row, bytes]]:
    """The images first, first + 1, ... of a source as PNG files, in order.

    Threads, because Pillow decodes, resizes and encodes without Python's lock. JPEG files resized, images a second on 2
    cores with 1 thread, 2 threads, 2 processes: 95, 180, 180 at 256 pixels, 850, 1600, 1450 at 64, and 2500, 2400, 4700
    at 32, where threads do not help, and sets are small.

    Args:
      source: the images; those that cannot be used are given as skipped.
      first: the first image.
      workers: threads.

    Raises:
      ValueError: where the storage does not deliver an image, or the images are not of one kind.
    """
    step = max(1, min(_MAX_TASK_IMAGES, _TASK_BYTES // int(np.prod(source.image_shape))))
    starts = iter(range(first, len(source), step))
    tasks: collections.deque = collections.deque()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="flaxgan-encode")
    try:
        for start in starts:
            tasks.append(executor.submit(_encode, source, start, min(start + step, len(source))))
            if len(tasks) >= workers * _TASKS_AHEAD:
                yield from tasks.popleft().result()
        while tasks:
            yield from tasks.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def first_usable(source: Source, indices: Iterable[int], workers: int) -> int | None:
    """The first of some images that can be used; None where none can. Raises as `encoded_images` does."""
    indices = list(indices)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="flaxgan-encode")
    try:
        found = executor.map(lambda index: _problem(source, index), indices)
        return next((index for index, problem in zip(indices, found) if problem is None), None)
    finally:
        executor.shutdown(cancel_futures=True)


def file_name(index: int) -> str:
    """The name of the file of a source's image, as in the StyleGAN layout."""
    return f"{index // 1000:05d}/img{index:08d}.png"


def _encode(source: Source, first: int, end: int) -> list[tuple[Row, bytes]]:
    return [_one(source, index) for index in range(first, end)]


def _one(source: Source, index: int) -> tuple[Row, bytes]:
    try:
        image = source.images[index]
    except ImageError as error:
        return Row(index, skipped=str(error)), b""
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG", compress_level=_COMPRESSION)
    data = file.getvalue()
    return Row(index, file_name(index), len(data), zlib.crc32(data), hashlib.sha256(data).hexdigest()), data


def _problem(source: Source, index: int) -> str | None:
    try:
        source.images[index]
    except ImageError as error:
        return str(error)
    return None
