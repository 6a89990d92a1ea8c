"""The training loop, from a start or a resume to the end of the run or an interruption."""

import time
from typing import Any

import jax
import numpy as np

from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed.multihost import Stop
from flaxgan.train.programs import compilation
from flaxgan.train.programs.compilation import Program
from flaxgan.train.programs.interruptible import Cancelled
from flaxgan.train.run import failures, logs
from flaxgan.train.run.logs import NonFiniteError, PhaseRecord
from flaxgan.train.run.prepare import PreparedRun
from flaxgan.train.run.snapshots import Snapshots
from flaxgan.train.step import stage_plan
from flaxgan.train.step.phases import Batch
from flaxgan.train.step.state import TrainState

MAX_STEPS_IN_FLIGHT = 2
"""Maximum number of steps queued on the device: enough to keep it busy, and few enough to stop soon."""


class Trainer:
    """Trains from a start or a resume to a stop. Everything it holds apart from the state serves the logs only."""

    def __init__(self, run: PreparedRun, checkpoints: Checkpoints, stop: Stop, *, step: int) -> None:
        """Opens the logs to continue after a step; `close` closes them.

        Args:
          run: the run.
          checkpoints: the run's checkpoints.
          stop: the requests to stop.
          step: number of steps done.
        """
        self._run, self._checkpoints, self._stop = run, checkpoints, stop
        self._setup = run.setup
        self._programs: list[Program] = []
        augments = run.config.augment.policy != "off"
        self._logs = logs.Logs(run.folder, step, total_kimg=run.config.total_kimg, augments=augments)
        self._history: list[PhaseRecord] = []
        self._all_finite: jax.Array | np.bool_ = np.bool_(True)
        self._tick_start = time.monotonic()
        self._tick_step = step
        self._waited = 0.0

    def close(self) -> None:
        """Closes the logs."""
        self._logs.close()

    def prepare(self, state: TrainState) -> None:
        """Compiles the programs of the stage that a state belongs to.

        Before the first step of a run the first snapshot is taken. This happens ahead of the compilation, so that
        mistakes in it appear early.

        Raises:
          FieldError: if the metric of config.keep_best is not measured.
        """
        step = int(state.step)
        self._enter_stage(step)
        if step == 0:
            self._snapshots.save_reals()
            self._run.retention.check_measured(self._snapshots.take(state, step))
        self._compile()

    def run(self, state: TrainState) -> TrainState:
        """Trains from a prepared state to the end of the run or a signal, and saves the last state.

        Args:
          state: the state given to `prepare`.

        Returns:
          The last state.

        Raises:
          NonFiniteError: if a value is non-finite. Only the data needed to analyze the step are saved then.
          SaveError: if a checkpoint cannot be written.
        """
        step = int(state.step)
        while step < self._setup.total_steps and not self._stop.is_agreed(step):
            if step >= self._setup.stage.end_step:
                self._check_finite(state)
                self._enter_stage(step)
                try:
                    self._compile()
                except Cancelled:
                    break
            state, step = self._train_stage(state, step)
        self._finish(state, step)
        return state

    def _enter_stage(self, step: int) -> None:
        number = stage_plan.number_at(self._run.setup.stages, step)
        self._setup = self._run.setup.at(number)
        stages, stage = self._setup.stages, self._setup.stage
        if len(stages) > 1:
            height, width, _ = stage.image_shape
            logs.say(f"stage {number + 1} of {len(stages)}: {height}x{width}, {stage.batch_size} images a step")
        self._snapshots = Snapshots(self._run, self._logs, stage)

    def _compile(self) -> None:
        cancelled = self._stop.is_asked_of_one
        self._programs = compilation.compile_all(self._setup, self._run.mesh, say=logs.say, cancelled=cancelled)

    def _train_stage(self, state: TrainState, step: int) -> tuple[TrainState, int]:
        """Trains to the end of the compiled stage."""
        config, reader = self._run.config, self._run.reader
        self._restart_clock(step)
        self._waited = 0.0
        with reader.on_devices(self._setup.stage, step, self._run.mesh) as batches:
            while step < self._setup.stage.end_step and not self._stop.is_agreed(step):
                if self._setup.stage.restarts_at(step):
                    self._check_finite(state)  # A failed step is saved with the optimizers as they were.
                    state = compilation.restart_optimizers(self._setup, self._run.mesh, state)
                state = self._step(state, step, [next(batches) for _ in range(reader.batches_per_step)])
                step += 1
                snapshot_due = self._due(step, config.snapshot_kimg)
                if snapshot_due or self._due(step, config.tick_kimg):
                    self._tick(state, step, batches.waited_seconds)
                if snapshot_due:
                    self._snapshot(state, step)
        return state, step

    def _due(self, step: int, every_kimg: float) -> bool:
        return stage_plan.is_due(self._setup.stage, step, every_kimg) or step == self._setup.total_steps

    def _step(self, state: TrainState, step: int, batches: list[Batch]) -> TrainState:
        """Runs one training step: the phases that are due, then the updates of the average and the counters."""
        due = [program for program in self._programs[:-1] if step % program.interval == 0]
        for program in due:
            for repeat in range(program.repeats):
                state, self._all_finite, scalars = program.run(
                    state, self._all_finite, batches[repeat], np.int32(repeat)
                )
                self._history.append(PhaseRecord(step, program.name, repeat, scalars, self._all_finite))
        state = self._programs[-1].run(state, self._all_finite)
        self._wait_for_older_steps(step)
        return state

    def _wait_for_older_steps(self, step: int) -> None:
        for done in reversed(self._history):
            if done.step <= step - MAX_STEPS_IN_FLIGHT:
                jax.block_until_ready(done.scalars)
                return

    def _tick(self, state: TrainState, step: int, waited: float) -> None:
        means = self._check_finite(state)
        self._history.clear()
        self._checkpoints.check()
        seconds = time.monotonic() - self._tick_start
        kimg = self._setup.stage.images_per_step * (step - self._tick_step) / 1000
        record: dict[str, Any] = {
            "step": step,
            "kimg": int(state.images_seen) / 1000,
            "sec_per_kimg": seconds / kimg,
            "losses": {name.removesuffix("/loss"): value for name, value in means.items() if name.endswith("/loss")},
            "statistics": {name: value for name, value in means.items() if not name.endswith("/loss")}
            | {"augment_p": float(state.ada.p), **_own_state(state)},
            "memory_gib": logs.memory_gib(),
            "data_wait_share": (waited - self._waited) / seconds,
            "time": time.time(),
        }
        if self._run.source.skipped is not None:
            record["skipped_images"] = len(self._run.source.skipped)
        self._waited = waited
        self._logs.tick(record)
        self._restart_clock(step)

    def _check_finite(self, state: TrainState) -> dict[str, float]:
        """Returns the means since the last tick, or raises a NonFiniteError and saves the failed step."""
        try:
            return logs.tick_means(self._history)
        except NonFiniteError as error:
            raise NonFiniteError(error.done, f"\n{self._keep_failure(state, error.done)}") from None

    def _keep_failure(self, state: TrainState, done: PhaseRecord) -> str:
        """Saves a failed phase with the state before it, which is unchanged since the failure; see `nan_guard`."""
        root = self._run.folder.root
        folder = self._run.folder.failures / f"step_{done.step}"
        batch = self._run.reader.whole(self._setup.stage, done.step, done.repeat)
        try:
            failures.write(folder, self._setup, state, done, batch)
        except OSError as error:
            return f"The step cannot be saved in {folder}: {error}"
        return f"Saved in {folder}: flaxgan replay {root} repeats that step and finds the origin of the values"

    def _restart_clock(self, step: int) -> None:
        self._tick_start, self._tick_step = time.monotonic(), step

    def _snapshot(self, state: TrainState, step: int) -> None:
        """Saves images, metrics and a checkpoint. The time is not counted in any tick."""
        start = time.monotonic()
        measured = self._snapshots.take(state, step)
        self._checkpoints.save(state, self._run.config, measured)
        self._tick_start += time.monotonic() - start

    def _finish(self, state: TrainState, step: int) -> None:
        """Saves the state if it is not saved yet, and prints how to continue."""
        done = step == self._setup.total_steps
        if not done and step and self._checkpoints.latest_step() != step:
            self._check_finite(state)  # A non-finite state must not be saved.
            self._checkpoints.save(state, self._run.config)
        self._checkpoints.wait()
        if self._run.source.skipped:
            print(self._run.source.skipped.summary(), flush=True)  # Each host reports the images that it has read.
        if done:
            logs.say(f"done: {self._run.folder.root}, samples in {self._run.folder.samples}")
        elif step:
            logs.say(f"stopped after step {step}, saved; the same command continues from here")
        else:
            logs.say("stopped before the first step; the same command starts again")


def _own_state(state: TrainState) -> dict[str, float]:
    """Returns the regularizers' own state by name, for the log."""
    each = [own for of_network in state.regularizers.values() for own in of_network.values()]
    return {name: float(value) for own in each for name, value in own.items()}
