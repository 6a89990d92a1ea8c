"""One stretch of training, from a start or a resume to the end or an interruption."""

import contextlib
import time

import jax
import numpy as np

from flaxgan.data import pipeline
from flaxgan.data.prefetch import Prefetcher, prefetch
from flaxgan.train import devices, logs, samples
from flaxgan.train.checkpoint import Checkpoints
from flaxgan.train.compile import Program
from flaxgan.train.run import Run
from flaxgan.train.state import TrainState

MAX_STEPS_IN_FLIGHT = 2
"""Steps waiting on the device before the host waits too: enough to keep it busy, few enough to stop soon."""


class Session:
    """One stretch of training between a start and a stop. What it holds beside the state is for logs only."""

    def __init__(self, run: Run, checkpoints: Checkpoints, programs: list[Program], stopped: list[int]):
        self._run, self._checkpoints, self._programs, self._stopped = run, checkpoints, programs, stopped
        self._sample = samples.sampler(run.setup.gan, run.mesh)
        self._history: list = []
        self._tick_start = time.monotonic()
        self._tick_step = 0
        self._waited = 0.0

    def run(self, state: TrainState) -> TrainState:
        """Trains from a state until the run's end or a signal; returns the last state, which is saved.

        Raises:
          NonFiniteError: if a loss is not finite; nothing is saved then.
        """
        step = int(state.step)
        with contextlib.closing(logs.Logs(self._run.folder, self._run.config, step)) as self._logs:
            state, step = self._train(state, step)
        self._finish(state, step)
        return state

    def _train(self, state: TrainState, step: int) -> tuple[TrainState, int]:
        config = self._run.config
        if step == 0:
            self._save_reals()
            self._snapshot(state, step)
        self._restart_clock(step)
        with self._batches(step) as batches:
            while step < config.total_steps and not self._stopped:
                state = self._step(state, step, next(batches))
                step += 1
                snapshot_due = self._due(step, config.snapshot_kimg)
                if snapshot_due or self._due(step, config.tick_kimg):
                    self._tick(state, step, batches.waited_seconds)
                if snapshot_due:
                    self._snapshot(state, step)
        return state, step

    def _due(self, step: int, every_kimg: float) -> bool:
        config = self._run.config
        return step % config.steps(every_kimg) == 0 or step == config.total_steps

    def _batches(self, step: int) -> Prefetcher:
        data = self._run.config.data
        local = pipeline.batches(
            self._run.source,
            batch_size=self._run.config.batch_size,
            seed=self._run.config.seed,
            start=step,
            mirror=data.mirror,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            num_threads=data.num_threads,
        )
        return prefetch(local, devices.batched(self._run.mesh))

    def _step(self, state: TrainState, step: int, batch: dict[str, jax.Array]) -> TrainState:
        """One training step: the phases that are due, then the average and the counters."""
        for program in self._programs[:-1]:
            if step % program.interval == 0:
                state, scalars = program.run(state, batch)
                self._history.append((step, program.name, scalars))
        state = self._programs[-1].run(state)
        self._wait_for_older_steps(step)
        return state

    def _wait_for_older_steps(self, step: int) -> None:
        for older, _, scalars in reversed(self._history):
            if older <= step - MAX_STEPS_IN_FLIGHT:
                jax.block_until_ready(scalars)
                return

    def _tick(self, state: TrainState, step: int, waited: float) -> None:
        config = self._run.config
        means = logs.tick_means(self._history)
        self._history.clear()
        seconds = time.monotonic() - self._tick_start
        kimg = config.batch_size * (step - self._tick_step) / 1000
        record = {
            "step": step,
            "kimg": int(state.images_seen) / 1000,
            "sec_per_kimg": seconds / kimg,
            "losses": {name.removesuffix("/loss"): value for name, value in means.items() if name.endswith("/loss")},
            "statistics": {name: value for name, value in means.items() if not name.endswith("/loss")}
            | {"augment_p": float(state.ada.p), "pl_mean": float(state.pl_mean)},
            "memory_gib": logs.memory_gib(),
            "data_wait_share": (waited - self._waited) / seconds,
            "time": time.time(),
        }
        self._waited = waited
        self._logs.tick(record)
        self._restart_clock(step)

    def _restart_clock(self, step: int) -> None:
        self._tick_start, self._tick_step = time.monotonic(), step

    def _save_reals(self) -> None:
        run = self._run
        rows, columns = samples.grid_shape(run.source.image_shape, run.config.data.num_classes)
        if run.config.data.num_classes == columns:
            images, _ = pipeline.by_class(run.source, rows, run.config.seed)
        else:
            images, _ = pipeline.first_images(run.source, rows * columns, run.config.seed)
        self._save_grid("reals", images, columns, step=0)

    def _snapshot(self, state: TrainState, step: int) -> None:
        """The fixed grid, the measures and a checkpoint. Its time counts in no tick."""
        start = time.monotonic()
        run, kimg = self._run, int(state.images_seen) / 1000
        gan, seed = run.setup.gan, run.config.seed
        rows, columns = samples.grid_shape(gan.image_shape, gan.num_classes)
        fakes = self._generate(state, *samples.grid_latents(gan, seed, rows, columns))
        self._save_grid(f"fakes{round(kimg):06d}", fakes, columns, step=step)
        if run.measures:
            self._measure(state, {"step": step, "kimg": kimg})
        if step:
            self._checkpoints.save(state, run.config)
        self._tick_start += time.monotonic() - start

    def _measure(self, state: TrainState, record: dict[str, float]) -> None:
        config = self._run.config
        z, labels = samples.metric_latents(self._run.setup.gan, config.seed, config.metric_images)
        fakes = self._generate(state, z, labels)
        for measure in self._run.measures:
            record |= {name: float(value) for name, value in measure(fakes, labels).items()}
        self._logs.measured(record)

    def _generate(self, state: TrainState, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        size = max(self._run.config.batch_size, jax.device_count())
        return samples.generate(self._sample, state.ema, z, labels, batch_size=size)

    def _save_grid(self, name: str, images: np.ndarray, columns: int, *, step: int) -> None:
        grid = samples.grid(images, columns)
        if jax.process_index() == 0:
            samples.save_picture(self._run.folder.samples / f"{name}.png", grid)
        self._logs.grid(name.rstrip("0123456789"), grid, step)

    def _finish(self, state: TrainState, step: int) -> None:
        """Saves what an interruption left unsaved, and says how to go on."""
        done = step == self._run.config.total_steps
        if not done and step and self._checkpoints.latest_step() != step:
            logs.tick_means(self._history)  # Nothing that is not finite may be saved.
            self._checkpoints.save(state, self._run.config)
        self._checkpoints.wait()
        if done:
            logs.say(f"done: {self._run.folder.root}, samples in {self._run.folder.samples}")
        elif step:
            logs.say(f"stopped after step {step}, saved; the same command continues from here")
        else:
            logs.say("stopped before the first step; the same command starts again")
