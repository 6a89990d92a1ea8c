"""Ahead-of-time compilation of a step's programs, with what is compiled and how long it took said aloud."""

import dataclasses
import pathlib
import time
from collections.abc import Callable

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
      interval: it runs at steps that this divides.
      repeats: times that it runs in such a step, each time on a new batch.
      run: the compiled function (state, all_finite, batch, repeat) -> (state, all_finite, scalars), see
        `flaxgan.train.step.nan_guard`, or for "advance" (state, all_finite) -> state; it consumes the state.
      seconds: compile time.
    """

    name: str
    interval: int
    repeats: int
    run: jax.stages.Compiled
    seconds: float


def use_cache() -> None:
    """Turns on the persistent compilation cache, so that a repeated command starts at once.

    It is kept in ~/.cache/flaxgan/jax, unless JAX_COMPILATION_CACHE_DIR names another folder.
    """
    if jax.config.jax_compilation_cache_dir is None:
        folder = pathlib.Path.home() / ".cache" / "flaxgan" / "jax"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def abstract_state(setup: TrainingSetup, mesh: Mesh) -> state.TrainState:
    """The train state's shapes and layout; nothing is allocated."""
    own = setup.initial_regularizer_state
    make = lambda: state.init(setup.gan, setup.optimizers, seed=0, regularizers=own)
    place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device_mesh.replicated(mesh))
    return jax.tree.map(place, jax.eval_shape(make))


def abstract_batch(setup: TrainingSetup, mesh: Mesh) -> phases.Batch:
    """A global batch's shapes and layout."""
    num_images, sharding = setup.stage.batch_size, device_mesh.batched(mesh)
    return {
        "images": jax.ShapeDtypeStruct((num_images, *setup.gan.image_shape), "uint8", sharding=sharding),
        "labels": setup.abstract_labels(num_images, sharding=sharding),
        "flip": jax.ShapeDtypeStruct((num_images,), "bool", sharding=sharding),
    }


def init_state(setup: TrainingSetup, mesh: Mesh) -> state.TrainState:
    """The state before the first step, on every device."""
    config, own = setup.config, setup.initial_regularizer_state
    make = lambda: state.init(
        setup.gan, setup.optimizers, seed=config.seed, augment_p=config.augment.p, regularizers=own
    )
    return jax.jit(make, out_shardings=device_mesh.replicated(mesh))()


def restart_optimizers(setup: TrainingSetup, mesh: Mesh, of: state.TrainState) -> state.TrainState:
    """The state with optimizers that have seen nothing yet, as a new stage of growing starts (PGGAN, appendix A)."""

    def restart(of: state.TrainState) -> state.TrainState:
        g, d = (
            network.replace(opt_state=optimizer.init(network.params))
            for network, optimizer in zip((of.g, of.d), setup.optimizers)
        )
        return of.replace(g=g, d=d)

    return jax.jit(restart, donate_argnums=0, out_shardings=device_mesh.replicated(mesh))(of)


def lower_all(
    setup: TrainingSetup, mesh: Mesh, **lowering
) -> dict[tuple[str, int, int], Callable[[], jax.stages.Lowered]]:
    """(name, interval, repeats) -> a function that traces and lowers the program, in the order of a step.

    Args:
      setup: the run.
      mesh: its devices.
      **lowering: passed to `jax.stages.Traced.lower`, e.g. lowering_platforms=("tpu",).
    """
    whole, batch = abstract_state(setup, mesh), abstract_batch(setup, mesh)
    copy = device_mesh.replicated(mesh)
    repeat, all_finite = (jax.ShapeDtypeStruct((), dtype, sharding=copy) for dtype in ("int32", "bool"))

    def lower(function, *arguments, outputs):
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
    """The end of a step, which waits with everything else once something is not finite."""
    program = finish_step.program(setup)

    def run(of: state.TrainState, all_finite: jax.Array) -> state.TrainState:
        return nan_guard.keep_unless(all_finite, of, program(of))

    run.__name__ = program.__name__
    return run


def compile_all(
    setup: TrainingSetup, mesh: Mesh, *, say: Callable[[str], None], cancelled: Callable[[], bool] = lambda: False
) -> list[Program]:
    """Compiles every program of a step of the setup's stage.

    Args:
      setup: the run.
      mesh: its devices.
      say: receives one line before and one after each compilation.
      cancelled: asked meanwhile; once it says yes, nothing more is compiled.

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
