"""Measures the training speed and memory of a recipe on synthetic images.

    python benchmarks/speed.py --config configs/stylegan2_ffhq256.py [--config.FIELD=VALUE ...]

Prints seconds per kimg of the whole step (each phase weighted by its interval), seconds per call of every program, and
memory. No data are needed; the networks start from random weights, which costs what trained ones cost.
"""

import statistics
import sys
import time

import jax
import numpy as np

from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation, preflight
from flaxgan.train.recipes import flags
from flaxgan.train.run import logs
from flaxgan.train.step import binding

CALLS = 12
"""Timed calls of each program, after two that are not timed; the median counts."""


def main(arguments: list[str]) -> None:
    """Compiles the recipe's programs and times them."""
    config = flags.parse(arguments).config
    jax.config.update("jax_default_matmul_precision", config.matmul_precision)
    mesh = device_mesh.data_mesh()
    shape = (*config.data.resolution_px, config.data.channels)
    built = binding.build(config, shape, constrain=device_mesh.constrain_batch(mesh))
    preflight.check_batch(built)
    batch = _batch(built.stage.batch_size, shape, mesh)
    state = compilation.init_state(built, mesh)
    total = 0.0
    for program in compilation.compile_all(built, mesh, say=print):
        inputs = (np.bool_(True), *((batch, np.int32(0)) if program.name != "advance" else ()))
        state, seconds = _time(program, state, inputs)
        total += seconds * program.repeats / program.interval
        memory = program.run.memory_analysis()
        temporary = memory.temp_size_in_bytes / 2**30
        print(f"{program.name:<16} every {program.interval:>2}: {seconds:.4f} s, {temporary:.2f} GiB temporary")
    kind = jax.devices()[0].device_kind
    print(f"{jax.device_count()} x {kind}, jax {jax.__version__}, batch {config.batch_size}")
    print(f"{total * 1000 / built.stage.images_per_step:.3f} sec/kimg, peak memory {logs.memory_gib():.2f} GiB")


def _batch(num_images: int, shape: tuple[int, int, int], mesh) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    arrays = {
        "images": rng.integers(0, 256, (num_images, *shape), np.uint8),
        "labels": np.zeros(num_images, np.int32),
        "flip": rng.integers(0, 2, num_images) == 1,
    }
    return jax.device_put(arrays, device_mesh.batched(mesh))


def _time(program: compilation.Program, state, inputs) -> tuple[object, float]:
    """The state after some calls, and the median seconds of one; the state is handed on because it is consumed."""
    seconds = []
    for call in range(CALLS + 2):
        start = time.perf_counter()
        state = jax.block_until_ready(program.run(state, *inputs))
        state = state[0] if isinstance(state, tuple) else state
        if call >= 2:
            seconds.append(time.perf_counter() - start)
    return state, statistics.median(seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
