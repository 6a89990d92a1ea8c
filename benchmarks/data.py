"""Measures the data pipeline against the decoder alone with the same threads.

    .venv/bin/python benchmarks/data.py [--threads 2] [--seconds 1.5] [--rounds 9]

The decoder alone: threads that do nothing but turn the bytes of image files, which lie in memory, into arrays (Pillow,
`np.asarray(Image.open(...))`). The pipeline: the same files in a ZIP archive, read, checked, decoded, flipped at random
and put into batches. The two take turns, so that another job on the machine disturbs both alike; the ratio is the
median of the rounds' ratios, with the lower and the upper quartile. CPU time for an image, which other jobs disturb
less, is shown beside it.
"""

import argparse
import concurrent.futures
import io
import itertools
import pathlib
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from flaxgan.data import open_source, pipeline

NUM_IMAGES = 512
BATCH_SIZE = 64
SIZES_PX = (64, 256)
KINDS = {"PNG": {}, "JPEG": {"quality": 90}}


class Speed(NamedTuple):
    """Images for each second that passes, and CPU seconds of this process for each image."""

    images_per_second: float
    cpu_seconds: float


def photo(seed: int, size_px: int) -> np.ndarray:
    """Smooth colours with some noise, which compress about as photos do."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((size_px, size_px), Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def files_of(size_px: int, kind: str) -> list[bytes]:
    """The image files of a set."""
    files = []
    for seed in range(NUM_IMAGES):
        file = io.BytesIO()
        Image.fromarray(photo(seed, size_px)).save(file, kind, **KINDS[kind])
        files.append(file.getvalue())
    return files


def measure(step: Callable[[], int], seconds: float) -> Speed:
    """Repeats a step, which returns how many images it was."""
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < seconds:
        count += step()
    return Speed(count / passed, (time.process_time() - cpu) / count)


def decoder(files: list[bytes], pool: concurrent.futures.Executor, threads: int) -> Callable[[], int]:
    """A step that decodes a batch in each thread."""
    starts = itertools.count()

    def decode(start: int) -> None:
        for index in range(start, start + BATCH_SIZE):
            np.asarray(Image.open(io.BytesIO(files[index % len(files)])))

    def step() -> int:
        list(pool.map(decode, [next(starts) * BATCH_SIZE for _ in range(threads)]))
        return threads * BATCH_SIZE

    return step


def loader(batches: Iterator[pipeline.Batch], threads: int) -> Callable[[], int]:
    """A step that takes a batch for each thread."""

    def step() -> int:
        return sum(len(next(batches)["images"]) for _ in range(threads))

    return step


def compare(size_px: int, kind: str, *, threads: int, seconds: float, rounds: int) -> str:
    """One line of the table."""
    files = files_of(size_px, kind)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(threads) as pool:
        path = pathlib.Path(folder) / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for index, data in enumerate(files):
                archive.writestr(f"{index:05d}.{kind.lower()}", data)
        source = open_source("zip", path, resolution=size_px, channels=3)
        batches = pipeline.batches(source, batch_size=BATCH_SIZE, seed=0, mirror=True, num_threads=threads)
        steps = decoder(files, pool, threads), loader(batches, threads)
        for step in steps:
            measure(step, seconds / 2)
        speeds = [[measure(step, seconds) for step in steps] for _ in range(rounds)]
        batches.close()
    alone, whole = (Speed(*np.median([pair[which] for pair in speeds], axis=0)) for which in (0, 1))
    ratios = np.percentile([b.images_per_second / a.images_per_second for a, b in speeds], [25, 50, 75])
    cpu_ratio = np.median([a.cpu_seconds / b.cpu_seconds for a, b in speeds])
    return (
        f"| {size_px} {kind} | {threads} | {alone.images_per_second:,.0f} | {whole.images_per_second:,.0f} | "
        f"{ratios[1]:.2f} ({ratios[0]:.2f} to {ratios[2]:.2f}) | {alone.cpu_seconds * 1e6:,.0f} | "
        f"{whole.cpu_seconds * 1e6:,.0f} | {cpu_ratio:.2f} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print("| images | threads | decoder, images/s | pipeline, images/s | ratio | CPU us alone | CPU us whole | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size_px, kind in itertools.product(SIZES_PX, KINDS):
        print(compare(size_px, kind, **vars(arguments)), flush=True)


if __name__ == "__main__":
    main()
