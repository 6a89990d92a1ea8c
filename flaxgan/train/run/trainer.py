"""One stretch of training, from a start or a resume to the end or an interruption."""

import contextlib
import time
from collections.abc import Iterator

import jax
import numpy as np

from flaxgan.data.pipeline import batching, worker_processes
from flaxgan.data.pipeline.device_prefetch import Prefetcher, prefetch
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
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
"""Steps waiting on the device before the host waits too: enough to keep it busy, few enough to stop soon."""


class Trainer:
    """One stretch of training between a start and a stop. What it holds beside the state is for logs only."""

    def __init__(self, run: PreparedRun, checkpoints: Checkpoints, stop: Stop, *, step: int):
        """Opens the logs to continue after a step; `close` closes them."""
        self._run, self._checkpoints, self._stop = run, checkpoints, stop
        self._setup = run.setup
        self._programs: list[Program] = []
        self._logs = logs.Logs(run.folder, run.config, step)
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

        Before a run's first step its first snapshot is taken, ahead of the compilation: what can go wrong in it does so
        at once.

        Raises:
          ValueError: if the value of keep_best is not measured.
        """
        step = int(state.step)
        self._enter_stage(step)
        if step == 0:
            self._snapshots.save_reals()
            self._run.retention.check_measured(self._snapshots.take(state, step))
        self._compile()

    def run(self, state: TrainState) -> TrainState:
        """Trains from a prepared state until the run's end or a signal; returns the last state, which is saved.

        Raises:
          NonFiniteError: if a number is not finite; nothing is saved then but what is needed to look into it.
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
            if step and step == self._setup.stage.first_step:
                state = compilation.restart_optimizers(self._setup, self._run.mesh, state)
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
        """Trains to the end of the stage that is compiled."""
        config = self._run.config
        self._restart_clock(step)
        self._waited = 0.0
        with self._batches(step) as batches:
            while step < self._setup.stage.end_step and not self._stop.is_agreed(step):
                state = self._step(state, step, [next(batches) for _ in range(config.d_steps)])
                step += 1
                snapshot_due = self._due(step, config.snapshot_kimg)
                if snapshot_due or self._due(step, config.tick_kimg):
                    self._tick(state, step, batches.waited_seconds)
                if snapshot_due:
                    self._snapshot(state, step)
        return state, step

    def _due(self, step: int, every_kimg: float) -> bool:
        return stage_plan.is_due(self._setup.stage, step, every_kimg) or step == self._setup.total_steps

    def _batches(self, step: int) -> Prefetcher:
        """This process's rows of the batches from a step on, on the devices."""
        local = self._read(step, 0, process_index=jax.process_index(), process_count=jax.process_count())
        return prefetch(local, device_mesh.batched(self._run.mesh))

    def _read(self, step: int, repeat: int, **process: int) -> Iterator[Batch]:
        """The rows of one process of the batches from a step, and a repeat in it, on."""
        data, stage = self._run.config.data, self._setup.stage
        return batching.batches(
            self._run.source,
            batch_size=stage.batch_size,
            seed=self._run.config.seed,
            start=(step - stage.first_step) * self._run.config.d_steps + repeat,
            first_image=stage.first_image,
            mirror=data.mirror,
            num_threads=data.num_threads * (worker_processes.LINES if data.workers == "processes" else 1),
            **process,
        )

    def _step(self, state: TrainState, step: int, batches: list[Batch]) -> TrainState:
        """One training step: the phases that are due, then the average and the counters."""
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
        record = {
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
        """The means since the last tick; a number that is not finite ends the run here."""
        try:
            return logs.tick_means(self._history)
        except NonFiniteError as error:
            raise NonFiniteError(error.done, f"\n{self._keep_failure(state, error.done)}") from None

    def _keep_failure(self, state: TrainState, done: PhaseRecord) -> str:
        """Keeps what led to a number that is not finite: the state has waited since, see `nan_guard`."""
        root = self._run.folder.root
        folder = self._run.folder.failures / f"step_{done.step}"
        with contextlib.closing(self._read(done.step, done.repeat)) as batches:
            batch = next(batches)
        try:
            failures.write(folder, self._setup, state, done, batch)
        except OSError as error:
            return f"The step cannot be kept in {folder}: {error}"
        return f"Kept in {folder}: flaxgan replay {root} does that step again and says where it comes from"

    def _restart_clock(self, step: int) -> None:
        self._tick_start, self._tick_step = time.monotonic(), step

    def _snapshot(self, state: TrainState, step: int) -> None:
        """Images, measures and a checkpoint. Their time counts in no tick."""
        start = time.monotonic()
        measured = self._snapshots.take(state, step)
        self._checkpoints.save(state, self._run.config, measured)
        self._tick_start += time.monotonic() - start

    def _finish(self, state: TrainState, step: int) -> None:
        """Saves what an interruption left unsaved, and says how to go on."""
        done = step == self._setup.total_steps
        if not done and step and self._checkpoints.latest_step() != step:
            self._check_finite(state)  # Nothing that is not finite may be saved.
            self._checkpoints.save(state, self._run.config)
        self._checkpoints.wait()
        if self._run.source.skipped:
            print(self._run.source.skipped.summary(), flush=True)  # each host says what it has seen
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
