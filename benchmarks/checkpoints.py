"""Measures how long saving a checkpoint keeps the training thread from its next step.

    python benchmarks/checkpoints.py --config configs/stylegan2_ffhq256.py [--config.FIELD=VALUE ...]

Two ways to save the state of a recipe take turns in the same process: as training saves it, and as training saved it
before, with the checksums computed on the training thread. Prints the seconds until `save` returns, the seconds until
the checkpoint is complete, and the ratio of the medians. No data are needed; the networks have random weights.
"""

import shutil
import statistics
import sys
import tempfile
import time

import jax
from flax import serialization

from flaxgan.config import Config
from flaxgan.train.checkpoints import integrity
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.recipes import flags
from flaxgan.train.run import disk_space
from flaxgan.train.step import binding
from flaxgan.train.step.state import TrainState

ROUNDS = 5
"""Timed saves of each kind, after one that is not timed."""


def main(arguments: list[str]) -> None:
    """Times both ways to save."""
    config = flags.parse(arguments).config
    shape = (*config.data.resolution_px, config.data.channels)
    state = compilation.init_state(binding.build(config, shape), device_mesh.data_mesh())
    params = sum(x.size for x in jax.tree.leaves((state.g.params, state.d.params)))
    print(f"{params / 1e6:.1f} M parameters, {disk_space.checkpoint_bytes(state) / 2**20:.0f} MiB of arrays")
    seconds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for number in range(ROUNDS + 1):
        for on_this_thread in seconds:
            fresh = jax.block_until_ready(jax.tree.map(lambda x: x.copy(), state))
            times = _time(fresh, config, checksums=on_this_thread)
            if number:
                seconds[on_this_thread].append(times)
    medians = {}
    for on_this_thread, times in seconds.items():
        medians[on_this_thread], whole = (statistics.median(column) for column in zip(*times))
        name = "training" if on_this_thread else "background"
        print(f"checksums on the {name} thread: save returns after {medians[on_this_thread]:.3f} s, done {whole:.3f} s")
    print(f"ratio {medians[False] / medians[True]:.3f}")


def _time(state: TrainState, config: Config, *, checksums: bool) -> tuple[float, float]:
    """Returns the seconds until `save` returns and those until the checkpoint is complete."""
    folder = tempfile.mkdtemp(prefix="flaxgan-checkpoints-")
    checkpoints = Checkpoints(folder, keep=1)
    start = time.perf_counter()
    if checksums:
        integrity.checksums(serialization.to_state_dict(state))
    checkpoints.save(state, config)
    returned = time.perf_counter() - start
    checkpoints.wait()
    whole = time.perf_counter() - start
    checkpoints.close()
    shutil.rmtree(folder)
    return returned, whole


if __name__ == "__main__":
    main(sys.argv[1:])
