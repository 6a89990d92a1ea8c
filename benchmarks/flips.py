"""Compares the data pipeline of two checkouts: with flips in the batch's pixels, and with flips inside the step.

    .venv/bin/python benchmarks/flips.py BEFORE AFTER [--threads 2] [--seconds 1.5] [--rounds 15]

BEFORE and AFTER are checkouts of this project. Each serves batches of 64 from a folder of 64x64 PNG files with
mirror=True: decoded by threads, by worker processes, and from the memory cache. The checkouts take turns, one
measurement each, so that another job on the machine disturbs both alike. A ratio is the median of the rounds' ratios,
with the lower and the upper quartile. The last line is the time that AFTER's compiled step spends on the flips of a
batch, beyond the conversion to float.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

SIZE_PX = 64
KINDS = ("threads", "processes", "cache")


def serve(folder: str, threads: int, seconds: float) -> None:
    """Runs inside one checkout: answers each line of stdin, a kind, with images per second; "flips" with seconds."""
    from data import whole  # this folder's benchmark, which is the same for both checkouts

    from flaxgan.data import open_source
    from flaxgan.data.pipeline import memory_cache, worker_processes

    source = open_source("folder", folder)
    sources = {
        "threads": (source, threads),
        "processes": (worker_processes.spread(source, threads), worker_processes.LINES * threads),
        "cache": (memory_cache.keep(source, 1.0), threads),
    }
    for line in sys.stdin:
        if line.strip() == "flips":
            print(flip_seconds(), flush=True)
            continue
        served, lines = sources[line.strip()]
        print(whole(served, threads=lines, seconds=seconds), flush=True)


def start(checkout: str, folder: str, threads: int, seconds: float) -> subprocess.Popen[str]:
    """Starts `serve` in a process that imports the checkout, as do its worker processes."""
    here, root = pathlib.Path(__file__).resolve(), pathlib.Path(checkout).resolve()
    command = [sys.executable, str(here), "--serve", folder, f"--threads={threads}", f"--seconds={seconds}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(here.parent)])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, env=environment, cwd=root)


def ask(process: subprocess.Popen[str], kind: str) -> float:
    """Returns one measurement."""
    process.stdin.write(f"{kind}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def flip_seconds(batch_size: int = 64, calls: int = 200) -> float:
    """Returns the median seconds that flipping adds to the conversion of a batch to float."""
    import jax

    from flaxgan.ops.image import flip_where, to_float

    rng = np.random.default_rng(0)
    images = jax.device_put(rng.integers(0, 256, (batch_size, SIZE_PX, SIZE_PX, 3), np.uint8))
    flip = jax.device_put(rng.integers(0, 2, batch_size) == 1)
    programs = (jax.jit(lambda images, flip: to_float(images)), jax.jit(lambda *batch: to_float(flip_where(*batch))))
    seconds = np.empty((calls, len(programs)))
    for call in range(-2, calls):
        for column, program in enumerate(programs):
            begin = time.perf_counter()
            jax.block_until_ready(program(images, flip))
            seconds[call, column] = time.perf_counter() - begin
    without, with_flips = np.median(seconds, axis=0)
    return with_flips - without


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkouts", nargs="*", metavar="BEFORE AFTER")
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.threads, arguments.seconds)
        return
    if len(arguments.checkouts) != 2:
        parser.error("two checkouts are needed: BEFORE AFTER")
    from data import files_of

    print("| decoded by | before, images/s | after, images/s | ratio |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for index, data in enumerate(files_of(SIZE_PX, "PNG")):
            (pathlib.Path(folder) / f"{index:05d}.png").write_bytes(data)
        processes = [start(path, folder, arguments.threads, arguments.seconds) for path in arguments.checkouts]
        for kind in KINDS:
            rounds = [[ask(process, kind) for process in processes] for _ in range(arguments.rounds + 1)]
            speeds = np.array(rounds[1:])
            low, middle, high = np.percentile(speeds[:, 1] / speeds[:, 0], [25, 50, 75])
            before, after = np.median(speeds, axis=0)
            print(f"| {kind} | {before:,.0f} | {after:,.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) |", flush=True)
        print(f"flips inside the step: {ask(processes[1], 'flips') * 1e3:.2f} ms for each batch of 64")
        for process in processes:
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    main()
