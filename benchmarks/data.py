"""Measures the data pipeline against the decoder alone with the same threads.

    .venv/bin/python benchmarks/data.py [--threads 2] [--seconds 1.5] [--rounds 9]

The decoder alone: threads that do nothing but turn the bytes of image files, which lie in memory, into arrays
(Pillow, `np.asarray(Image.open(...).convert("RGB"))`). The pipeline: the same files in a ZIP archive, read, checked,
decoded and put into batches, by the same number of threads, by the same number of processes, and with all decoded
images in memory. They take turns, so that another job on the machine disturbs all alike. A ratio is the median of the
rounds' ratios, with the lower and the upper quartile.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import io
import itertools
import pathlib
import tempfile
import time
import zipfile
from collections.abc import Callable

import numpy as np
from PIL import Image

from flaxgan.data import open_source
from flaxgan.data.pipeline import batching, memory_cache, worker_processes
from flaxgan.data.source import Source

NUM_IMAGES = 512
BATCH_SIZE = 64
SIZES_PX = (64, 256)
KINDS = {"PNG": {}, "JPEG": {"quality": 90}}


def photo(seed: int, size_px: int) -> np.ndarray:
    """Returns smooth colours with some noise, which compress about as well as photos."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((size_px, size_px), Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def files_of(size_px: int, kind: str) -> list[bytes]:
    """Returns the image files of a set."""
    files = []
    for seed in range(NUM_IMAGES):
        file = io.BytesIO()
        Image.fromarray(photo(seed, size_px)).save(file, kind, **KINDS[kind])
        files.append(file.getvalue())
    return files


def timed(step: Callable[[], object], images: int, seconds: float) -> float:
    """Repeats a step that makes `images` images; returns the images per second."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        step()
        count += images
    return count / passed


def decoder(files: list[bytes], *, threads: int, seconds: float) -> float:
    """Measures the decoder alone: each thread decodes one batch after the other."""

    def decode(start: int) -> None:
        for index in range(start, start + BATCH_SIZE):
            np.asarray(Image.open(io.BytesIO(files[index % len(files)])).convert("RGB"))

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        starts = itertools.count(step=BATCH_SIZE)
        ready = collections.deque(pool.submit(decode, next(starts)) for _ in range(2 * threads))

        def step() -> None:
            ready.popleft().result()
            ready.append(pool.submit(decode, next(starts)))

        return timed(step, BATCH_SIZE, seconds)


def whole(source: Source, *, threads: int, seconds: float) -> float:
    """Measures batches as a run gets them, without the batches that are ready before the clock starts."""
    batches = batching.batches(source, batch_size=BATCH_SIZE, seed=0, mirror=True, num_threads=threads)
    with contextlib.closing(batches):
        for _ in range(2 * threads + 1):
            next(batches)
        return timed(lambda: next(batches), BATCH_SIZE, seconds)


def compare(size_px: int, kind: str, *, threads: int, seconds: float, rounds: int) -> str:
    """Measures one kind of images; returns a line of the table."""
    files, how = files_of(size_px, kind), {"threads": threads, "seconds": seconds}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for index, data in enumerate(files):
                archive.writestr(f"{index:05d}.{kind.lower()}", data)
        source = open_source("zip", path, resolution=size_px, channels=3)
        spread, once = worker_processes.spread(source, threads), memory_cache.keep(source, 1.0)
        lines = {"threads": worker_processes.LINES * threads, "seconds": seconds}
        speeds = np.array(
            [
                (decoder(files, **how), whole(source, **how), whole(spread, **lines), whole(once, **how))
                for _ in range(rounds + 1)
            ][1:]
        )
    alone, by_threads, by_processes, later = np.median(speeds, axis=0)
    cells = [f"{size_px} {kind}", threads, f"{alone:,.0f}"]
    cells += [f"{by_threads:,.0f}", ratio(speeds, 1), f"{by_processes:,.0f}", ratio(speeds, 2), f"{later:,.0f}"]
    return f"| {' | '.join(map(str, cells))} |"


def ratio(speeds: np.ndarray, which: int) -> str:
    """Returns the ratio of a column to the first one, with its quartiles."""
    low, middle, high = np.percentile(speeds[:, which] / speeds[:, 0], [25, 50, 75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    columns = ["images", "threads", "decoder, images/s", "pipeline, images/s", "ratio"]
    columns += ["by as many processes", "ratio", "kept in memory, images/s"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for size_px, kind in itertools.product(SIZES_PX, KINDS):
        print(compare(size_px, kind, **vars(arguments)), flush=True)


if __name__ == "__main__":
    main()
