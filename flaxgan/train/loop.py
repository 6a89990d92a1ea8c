"""Training from the command line's point of view: start or resume, compile, train, stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from flaxgan.train import compile as compilation
from flaxgan.train import hosts, logs, transfer
from flaxgan.train.checkpoint import Checkpoints
from flaxgan.train.run import Run
from flaxgan.train.session import Session
from flaxgan.train.state import TrainState


def train(run: Run) -> TrainState:
    """Trains to the end of the run, or until SIGINT or SIGTERM, from the latest checkpoint if there is one.

    Returns:
      The last state, which is also saved.

    Raises:
      KeyboardInterrupt: after SIGINT, once the state is saved.
      NonFiniteError: if a loss is not finite; the last checkpoint is left as it is.
    """
    logs.say(f"data: {run.source.description}")
    images = run.setup.stages[-1].images_per_step
    logs.say(f"devices: {jax.device_count()} {jax.default_backend()}, {images} images a step")
    checkpoints = Checkpoints(run.folder.checkpoints, keep=run.config.keep_checkpoints)
    stop = hosts.Stop()
    try:
        state = _start(run, checkpoints)
        if int(state.step) >= run.setup.total_steps:
            logs.say(f"nothing to do: {run.folder.root} has reached {run.config.total_kimg:g} kimg")
            return state
        session = Session(run, checkpoints, stop)
        session.compile(int(state.step))
        with _stop_signals(stop.signals):
            state = session.run(state)
    finally:
        checkpoints.close()
    if signal.SIGINT in stop.signals:
        raise KeyboardInterrupt
    return state


def _start(run: Run, checkpoints: Checkpoints) -> TrainState:
    step = checkpoints.latest_step()
    if step is None:
        return _new(run)
    logs.say(f"resuming {run.folder.root} at step {step}")
    return checkpoints.restore(step, compilation.abstract_state(run.setup, run.mesh))


def _new(run: Run) -> TrainState:
    state = compilation.init_state(run.setup, run.mesh)
    if not run.config.init_from:
        return state
    state, report = transfer.load_networks(state, run.config.init_from)
    for line in (f"starting from {run.config.init_from}", *report.lines()):
        logs.say(line)
    return state


@contextmanager
def _stop_signals(received: list[int]) -> Iterator[None]:
    """Collects SIGINT and SIGTERM, so that a step is finished and saved; a second one acts at once."""
    previous = {}

    def stop(number, frame):
        received.append(number)
        logs.say("stopping after this step ...")
        signal.signal(number, previous[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
