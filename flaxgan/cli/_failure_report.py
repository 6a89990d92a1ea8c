"""A report on a step with non-finite numbers: the work of `flaxgan replay`."""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from flaxgan.train import trained
from flaxgan.train.checkpoints import store
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation, nan_trace, preflight
from flaxgan.train.run import failures, logs
from flaxgan.train.run.failures import Failure
from flaxgan.train.step import binding, nan_guard, phases, stage_plan
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

MAX_LINES = 10
"""Number of listed arrays of a kind."""


def run(arguments: argparse.Namespace) -> None:
    """Prints the report."""
    folder = failures.locate(arguments.run_path)
    failure, batch, fake_labels = failures.read(folder)
    setup = _setup(folder, failure.step, fake_labels)
    phases.by_name(setup, failure.phase)
    with jax.default_matmul_precision(setup.config.matmul_precision):
        state = _restore(folder, failure.step, setup)
        for line in report(setup, state, batch, failure):
            print(line, flush=True)


def report(setup: TrainingSetup, state: TrainState, batch: dict[str, np.ndarray], failure: Failure) -> Iterator[str]:
    """Yields a report on a failure, line by line."""
    yield f"step {failure.step}, phase {failure.phase}, seed {failure.seed}, on {failures.describe_devices()}"
    yield f"in training  {failure.problem}, on {failure.devices}"
    scalars, all_finite = again(setup, state, batch, failure)
    yield f"again        {'everything is finite' if all_finite else logs.problem(scalars)}"
    yield from _arrays("state before it", nan_trace.not_finite(state))
    phase = phases.by_name(setup, failure.phase)
    key = phase.key(failure.seed, failure.step, failure.repeat)
    reals = phase.reals(jax.tree.map(jnp.asarray, batch), state.images_seen, key)
    inputs = jax.jit(phase.draw)(key)
    watched = nan_trace.watch(setup, failure.phase, state, reals, inputs)
    yield f"values       {', '.join(f'{name} {float(np.mean(value)):.6g}' for name, value in watched.scalars.items())}"
    yield from _arrays("layers", watched.outputs)
    yield from _arrays("gradients", watched.gradients)
    operation = nan_trace.first_operation(setup, failure.phase, state, reals, inputs)
    yield f"operation    {operation or 'none with a non-finite result'}"


def again(
    setup: TrainingSetup, state: TrainState, batch: dict[str, np.ndarray], failure: Failure
) -> tuple[dict[str, np.ndarray], bool]:
    """Repeats the phase as in training; returns its values, and whether everything was finite."""
    mesh = device_mesh.data_mesh()
    phase = phases.by_name(setup, failure.phase)
    program = jax.jit(nan_guard.guarded(phase.program(failure.seed)), out_shardings=device_mesh.replicated(mesh))
    placed = jax.device_put(batch, device_mesh.batched(mesh))
    _, all_finite, scalars = program(state, np.bool_(True), placed, np.int32(failure.repeat))
    return jax.device_get(scalars), bool(all_finite)


def _arrays(title: str, found: Mapping[str, nan_trace.Count]) -> Iterator[str]:
    """Yields the non-finite arrays, the first ones by name."""
    yield f"{title:<12} {f'{len(found)} non-finite' if found else 'finite'}"
    for name, count in list(found.items())[:MAX_LINES]:
        yield f"  {name}: {count.bad:,} of {count.size:,}"
    if len(found) > MAX_LINES:
        yield f"  ... and {len(found) - MAX_LINES} more"


def _setup(folder: epath.Path, step: int, fake_labels: np.ndarray) -> TrainingSetup:
    """Returns the setup of the stage, with the labels that were drawn: a sampler of labels would need the data."""
    where = store.locate(folder)
    config = store.read_config(where)
    with trained.naming_config(where):
        built = binding.build(
            config, trained.image_shape(config), constrain=device_mesh.constrain_batch(device_mesh.data_mesh())
        )
        preflight.check_batch(built)
    built = dataclasses.replace(built, labels=lambda key, shape: jnp.asarray(fake_labels))
    return built.at(stage_plan.number_at(built.stages, step))


def _restore(folder: epath.Path, step: int, setup: TrainingSetup) -> TrainState:
    checkpoints = Checkpoints(folder / "checkpoints", keep=1)
    try:
        return checkpoints.restore(step, compilation.abstract_state(setup, device_mesh.data_mesh()))
    finally:
        checkpoints.close()
