"""Training as the command line runs it: start or resume, compile, train, stop."""

import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import jax

from flaxgan.train.checkpoints import store, transfer
from flaxgan.train.checkpoints.integrity import DamagedError
from flaxgan.train.checkpoints.store import Checkpoints, SaveError
from flaxgan.train.distributed import multihost
from flaxgan.train.programs import compilation
from flaxgan.train.run import admission, disk_space, error_messages, logs, run_folder
from flaxgan.train.run.prepare import PreparedRun
from flaxgan.train.run.trainer import Trainer
from flaxgan.train.step.state import TrainState


def train(run: PreparedRun) -> TrainState:
    """Trains to the end of the run, or until SIGINT or SIGTERM, from a checkpoint if there is one.

    Args:
      run: the run. Checkpoints later than the one from which it continues are moved to another folder.

    Returns:
      The last state, which is also saved.

    Raises:
      KeyboardInterrupt: after SIGINT, once the state is saved.
      NonFiniteError: if a value is non-finite; checkpoints are unchanged.
      SaveError: if a checkpoint or another file cannot be written; earlier checkpoints are unchanged.
      ValueError: if the run does not fit its folder, if the checkpoint is damaged, which changes nothing, or if another
        program trains in the folder.
    """
    run = multihost.on_all_hosts(lambda: admission.admit(run))
    logs.say(f"data: {run.source.description}")
    for note in run.source.notes:
        logs.say(note)
    images = run.setup.stages[-1].images_per_step
    logs.say(f"devices: {jax.device_count()} {jax.default_backend()}, {images} images a step")
    stop = multihost.Stop()
    with _folder(run):
        checkpoints = Checkpoints(run.folder.checkpoints, keep=run.retention)
        try:
            state = _train(run, checkpoints, stop)
        except SaveError:
            raise
        except OSError as error:
            raise SaveError(f"{error_messages.explain(error)}; {checkpoints.last_good()}") from error
        finally:
            checkpoints.close()
    if signal.SIGINT in stop.signals:
        raise KeyboardInterrupt
    return state


@contextmanager
def _folder(run: PreparedRun) -> Iterator[None]:
    """Creates and locks the run folder in the first process, and waits in the others until they see it."""
    with contextlib.ExitStack() as stack:

        def make() -> None:
            if run.folder.config.exists() and not store.steps(run.folder.checkpoints):
                logs.say(f"{run.folder.root} has no checkpoint: the run starts from the beginning")
            run_folder.make(run.folder, run.config, run.data)
            stack.enter_context(run_folder.locked(run.folder))

        multihost.on_all_hosts(make if jax.process_index() == 0 else lambda: None)
        multihost.on_all_hosts(lambda: run_folder.require_shared(run.folder, run.config))
        yield


def _train(run: PreparedRun, checkpoints: Checkpoints, stop: multihost.Stop) -> TrainState:
    state = _start(run, checkpoints)
    step = int(state.step)
    if step >= run.setup.total_steps:
        logs.say(f"nothing to do: {run.folder.root} has reached {run.config.total_kimg:g} kimg")
        return state
    checkpoints.prune()
    multihost.on_all_hosts(lambda: disk_space.require_space(run.folder.root, state, run.retention))
    with contextlib.closing(Trainer(run, checkpoints, stop, step=step)) as trainer:
        trainer.prepare(state)
        with _stop_signals(stop.signals):
            return trainer.run(state)


def _start(run: PreparedRun, checkpoints: Checkpoints) -> TrainState:
    """Restores the state from a checkpoint, or initializes a new one."""
    steps = checkpoints.steps()
    if not steps:
        return _new(run)
    step = steps[-1] if run.resume is None else run.resume
    logs.say(f"resuming {run.folder.root} at step {step}")
    try:
        state = checkpoints.restore(
            step,
            compilation.abstract_state(run.setup, run.mesh),
            initial=run.setup.initial_regularizer_state,
            say=logs.say,
        )
    except DamagedError as error:
        raise DamagedError(f"{error}\n{_way_out(run, step, steps)}") from error
    aside = checkpoints.set_aside_after(step, run.folder.set_aside)
    if run.resume is not None and jax.process_index() == 0:
        run_folder.note_resumed(run.folder, run.resume)
    if aside:
        logs.say(f"later checkpoints are now in {run.folder.set_aside}: {', '.join(map(str, aside))}")
    return state


def _way_out(run: PreparedRun, step: int, steps: list[int]) -> str:
    """Describes how to continue from an earlier checkpoint than a damaged one."""
    earlier = [other for other in steps if other < step]
    if not earlier:
        return "There is no earlier checkpoint. Nothing was changed; another --workdir starts from the beginning"
    return (
        f"Nothing was changed. The checkpoint before it is that of step {earlier[-1]}: the same command with "
        f"--resume={earlier[-1]} continues there, and moves later ones to {run.folder.set_aside}"
    )


def _new(run: PreparedRun) -> TrainState:
    state = compilation.init_state(run.setup, run.mesh)
    if not run.config.init_from:
        return state
    state, report = transfer.load_networks(state, run.config.init_from)
    for line in (f"starting from {run.config.init_from}", *report.lines()):
        logs.say(line)
    return state


class _Terminated(BaseException):
    """Raised by SIGTERM; not an Exception, so that handlers of errors do not catch it."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Ends the program with exit code 0 on SIGTERM while there is nothing to save, as it does later after saving."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise _Terminated

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        logs.say("stopped, with nothing to save; the same command starts again")
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _stop_signals(received: list[int]) -> Iterator[None]:
    """Collects SIGINT and SIGTERM, so that the current step is finished and saved; a second signal acts immediately."""

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        logs.say("stopping after this step ...")
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
