"""Ahead-of-time compilation of the programs of a training step, with progress and compile times reported."""

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import interruptible
from flaxgan.train.step import finish_step, nan_guard, phases, state
from flaxgan.train.step.training_setup import TrainingSetup


@dataclasses.dataclass(frozen=True)
class Program:
    """One compiled program of a training step.

    Attributes:
      name: the phase's name, or "advance".
      interval: the program runs at steps that are multiples of this.
      repeats: number of runs in such a step, each on a new batch.
      run: the compiled function, which donates the state: (state, all_finite, batch, repeat) -> (state, all_finite,
        scalars), see `flaxgan.train.step.nan_guard`, or (state, all_finite) -> state for "advance".
      seconds: compile time in seconds.
    """

    name: str
    interval: int
    repeats: int
    run: jax.stages.Compiled
    seconds: float


def use_cache() -> None:
    """Turns on the persistent compilation cache, so that a repeated command starts without compilation.

    The cache is in ~/.cache/flaxgan/jax, unless JAX_COMPILATION_CACHE_DIR names another folder.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = pathlib.Path.home() / ".cache" / "flaxgan" / "jax"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def abstract_state(setup: TrainingSetup, mesh: Mesh) -> state.TrainState:
    """Returns the shapes and layout of the train state; allocates nothing."""
    own = setup.initial_regularizer_state
    make = lambda: state.init(setup.gan, setup.optimizers, seed=0, regularizers=own)
    place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device_mesh.replicated(mesh))
    return jax.tree.map(place, jax.eval_shape(make))


def abstract_batch(setup: TrainingSetup, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and layout of a global batch."""
    num_images, sharding = setup.stage.batch_size, device_mesh.batched(mesh)
    return {
        "images": jax.ShapeDtypeStruct((num_images, *setup.gan.image_shape), "uint8", sharding=sharding),
        "labels": setup.abstract_labels(num_images, sharding=sharding),
        "flip": jax.ShapeDtypeStruct((num_images,), "bool", sharding=sharding),
    }


def init_state(setup: TrainingSetup, mesh: Mesh) -> state.TrainState:
    """Returns the state before the first step, replicated on every device."""
    config, own = setup.config, setup.initial_regularizer_state
    make = lambda: state.init(
        setup.gan, setup.optimizers, seed=config.seed, augment_p=config.augment.p, regularizers=own
    )
    return jax.jit(make, out_shardings=device_mesh.replicated(mesh))()


def restart_optimizers(setup: TrainingSetup, mesh: Mesh, of: state.TrainState) -> state.TrainState:
    """Returns the state with reinitialized optimizers, with which growing goes on after `Stage.restarts_at`.

    References:
      Karras et al. 2018 (PGGAN), appendix A.
    """
    restart = lambda of: state.restart_optimizers(of, setup.optimizers)
    return jax.jit(restart, donate_argnums=0, out_shardings=device_mesh.replicated(mesh))(of)


def lower_all(
    setup: TrainingSetup, mesh: Mesh, **lowering: Any
) -> dict[tuple[str, int, int], Callable[[], jax.stages.Lowered]]:
    """Returns a function for each program of a step that traces and lowers it.

    Args:
      setup: the setup of the stage.
      mesh: the devices.
      **lowering: keywords of `jax.stages.Traced.lower`, such as lowering_platforms=("tpu",).

    Returns:
      (name, interval, repeats) -> function, in the order of a step.
    """
    whole, batch = abstract_state(setup, mesh), abstract_batch(setup, mesh)
    copy = device_mesh.replicated(mesh)
    repeat, all_finite = (jax.ShapeDtypeStruct((), dtype, sharding=copy) for dtype in ("int32", "bool"))

    def lower(function: Callable, *arguments: Any, outputs: Any) -> Callable[[], jax.stages.Lowered]:
        jitted = jax.jit(function, donate_argnums=0, out_shardings=outputs)
        return lambda: jitted.trace(*arguments).lower(**lowering)

    programs = {}
    for phase in phases.build(setup):
        program = nan_guard.guarded(phase.program(setup.config.seed))
        lowered = lower(program, whole, all_finite, batch, repeat, outputs=(copy, copy, copy))
        programs[phase.name, phase.interval, phase.repeats] = lowered
    programs["advance", 1, 1] = lower(_advance(setup), whole, all_finite, outputs=copy)
    return programs


def _advance(setup: TrainingSetup) -> Callable[[state.TrainState, jax.Array], state.TrainState]:
    """Returns the program of a step's end, which changes nothing once a value is non-finite."""
    program = finish_step.program(setup)

    def run(of: state.TrainState, all_finite: jax.Array) -> state.TrainState:
        return nan_guard.keep_unless(all_finite, of, program(of))

    run.__name__ = program.__name__
    return run


def compile_all(
    setup: TrainingSetup, mesh: Mesh, *, say: Callable[[str], None], cancelled: Callable[[], bool] = lambda: False
) -> list[Program]:
    """Compiles every program of a training step.

    Args:
      setup: the setup of the stage.
      mesh: the devices.
      say: receives one line before and one after each compilation.
      cancelled: polled during compilation, which ends once it returns True.

    Raises:
      Cancelled: see `flaxgan.train.programs.interruptible`.
    """
    programs = []
    for (name, interval, repeats), lower in lower_all(setup, mesh).items():
        say(f"compiling {name} ...")
        start = time.monotonic()
        compiled = interruptible.run(lower().compile, cancelled=cancelled)
        seconds = time.monotonic() - start
        say(f"compiled {name} in {seconds:.1f} s")
        programs.append(Program(name, interval, repeats, compiled, seconds))
    return programs
