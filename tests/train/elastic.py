"""Trains on 1, 2, 4 and 8 devices, and continues each run on each of these numbers. Prints the losses as JSON.

A program of its own, for the test that starts it with eight virtual devices.
"""

import dataclasses
import json
import pathlib
import sys

import jax
import numpy as np
import small_gans
from jax.sharding import AxisType

from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation

COUNTS = (1, 2, 4, 8)
STEPS_BEFORE, STEPS_AFTER = 3, 2


class Training:
    """A run on the first devices."""

    def __init__(self, count: int):
        self.mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count], axis_types=(AxisType.Auto,))
        setup = small_gans.setup_of(
            g_regularizers={"path_length": {"interval": 2, "batch_shrink": 2}},
            d_regularizers={"r1": {"interval": 2, "gamma": 1.0}},
        )
        self.setup = dataclasses.replace(setup, constrain=device_mesh.constrain_batch(self.mesh))
        self.programs = compilation.compile_all(self.setup, self.mesh, say=lambda text: None)

    def steps(self, state, count: int):
        """The state after some steps, and the losses of all phases."""
        losses = []
        for step in range(int(state.step), int(state.step) + count):
            batch = jax.device_put(small_gans.batch(seed=step), device_mesh.batched(self.mesh))
            all_finite = np.bool_(True)
            for program in self.programs[:-1]:
                if step % program.interval == 0:
                    state, all_finite, scalars = program.run(state, all_finite, batch, np.int32(0))
                    losses.append(float(scalars["loss"][0]))
            state = self.programs[-1].run(state, all_finite)
        return state, losses


def main(folder: pathlib.Path) -> None:
    trainings = {count: Training(count) for count in COUNTS}
    one = trainings[1]
    _, whole = one.steps(compilation.init_state(one.setup, one.mesh), STEPS_BEFORE + STEPS_AFTER)
    found = {}
    for saved_on, training in trainings.items():
        checkpoints = Checkpoints(folder / str(saved_on), keep=1)
        state, before = training.steps(compilation.init_state(training.setup, training.mesh), STEPS_BEFORE)
        checkpoints.save(state, training.setup.config)
        checkpoints.wait()
        for restored_on, other in trainings.items():
            state = checkpoints.restore(STEPS_BEFORE, compilation.abstract_state(other.setup, other.mesh))
            _, after = other.steps(state, STEPS_AFTER)
            found[f"{saved_on} to {restored_on}"] = before + after
        checkpoints.close()
    print(json.dumps({"whole": whole, "found": found}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
