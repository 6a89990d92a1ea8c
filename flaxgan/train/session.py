"""One stretch of training, from a start or a resume to the end or an interruption."""

import contextlib
import time

import jax
import numpy as np

from flaxgan.data import pipeline
from flaxgan.data.prefetch import Prefetcher, prefetch
from flaxgan.train import compile as compilation
from flaxgan.train import devices, growth, logs, samples
from flaxgan.train.checkpoint import Checkpoints
from flaxgan.train.compile import Program
from flaxgan.train.hosts import Stop
from flaxgan.train.run import Run
from flaxgan.train.state import TrainState

MAX_STEPS_IN_FLIGHT = 2
"""Steps waiting on the device before the host waits too: enough to keep it busy, few enough to stop soon."""


class Session:
    """One stretch of training between a start and a stop. What it holds beside the state is for logs only."""

    def __init__(self, run: Run, checkpoints: Checkpoints, stop: Stop):
        self._run, self._checkpoints, self._stop = run, checkpoints, stop
        self._setup = run.setup
        self._restate = run.restate
        self._programs: list[Program] = []
        self._history: list = []
        self._tick_start = time.monotonic()
        self._tick_step = 0
        self._waited = 0.0

    def compile(self, step: int) -> None:
        """Compiles the programs of the stage that a step belongs to."""
        number = growth.number_at(self._run.setup.stages, step)
        self._setup = self._run.setup.at(number)
        stages, stage = self._setup.stages, self._setup.stage
        if len(stages) > 1:
            height, width, _ = stage.image_shape
            logs.say(f"stage {number + 1} of {len(stages)}: {height}x{width}, {stage.batch_size} images a step")
        self._programs = compilation.compile_all(self._setup, self._run.mesh, say=logs.say)
        self._sample = samples.sampler(self._setup.gan, self._run.mesh, stage=stage.network_stage)

    def run(self, state: TrainState) -> TrainState:
        """Trains from a state until the run's end or a signal; returns the last state, which is saved.

        `compile` comes first, with the step of that state.

        Raises:
          NonFiniteError: if a loss is not finite; nothing is saved then.
        """
        step = int(state.step)
        with contextlib.closing(logs.Logs(self._run.folder, self._run.config, step)) as self._logs:
            state, step = self._train(state, step)
        self._finish(state, step)
        return state

    def _train(self, state: TrainState, step: int) -> tuple[TrainState, int]:
        if step == 0:
            self._save_reals()
            self._snapshot(state, step)
        while step < self._setup.total_steps and not self._stop.is_agreed(step):
            if step >= self._setup.stage.end_step:
                self.compile(step)
            if step and step == self._setup.stage.first_step:
                state = compilation.restart_optimizers(self._setup, self._run.mesh, state)
            state, step = self._train_stage(state, step)
        return state, step

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
        return growth.is_due(self._setup.stage, step, every_kimg) or step == self._setup.total_steps

    def _batches(self, step: int) -> Prefetcher:
        data, stage = self._run.config.data, self._setup.stage
        local = pipeline.batches(
            self._run.source,
            batch_size=stage.batch_size,
            seed=self._run.config.seed,
            start=(step - stage.first_step) * self._run.config.d_steps,
            first_image=stage.first_image,
            mirror=data.mirror,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            num_threads=data.num_threads,
        )
        return prefetch(local, devices.batched(self._run.mesh))

    def _step(self, state: TrainState, step: int, batches: list[dict[str, jax.Array]]) -> TrainState:
        """One training step: the phases that are due, then the average and the counters."""
        due = [program for program in self._programs[:-1] if step % program.interval == 0]
        for program in due:
            for repeat in range(program.repeats):
                state, scalars = program.run(state, batches[repeat], np.int32(repeat))
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
        means = logs.tick_means(self._history)
        self._history.clear()
        seconds = time.monotonic() - self._tick_start
        kimg = self._setup.stage.images_per_step * (step - self._tick_step) / 1000
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
        if self._run.source.skipped is not None:
            record["skipped_images"] = len(self._run.source.skipped)
        self._waited = waited
        self._logs.tick(record)
        self._restart_clock(step)

    def _restart_clock(self, step: int) -> None:
        self._tick_start, self._tick_step = time.monotonic(), step

    def _save_reals(self) -> None:
        run = self._run
        rows, columns = samples.grid_shape(run.source.image_shape, run.config.data.num_classes)
        if run.config.data.num_classes == columns and run.config.data.labels == "classes":
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
        fakes = self._generate(state, *samples.grid_latents(gan, seed, rows, columns, vectors=run.setup.vector_labels))
        self._save_grid(f"fakes{round(kimg):06d}", fakes, columns, step=step)
        if run.measures:
            self._measure(state, {"step": step, "kimg": kimg})
        if step:
            self._checkpoints.save(state, run.config)
        self._tick_start += time.monotonic() - start

    def _measure(self, state: TrainState, record: dict[str, float]) -> None:
        config = self._run.config
        setup = self._run.setup
        z, labels = samples.metric_latents(setup.gan, config.seed, config.metric_images, vectors=setup.vector_labels)
        fakes = self._generate(state, z, labels)
        for measure in self._run.measures:
            record |= {name: float(value) for name, value in measure(fakes, labels).items()}
        self._logs.measured(record)

    def _generate(self, state: TrainState, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        size = max(self._setup.stage.batch_size, jax.device_count())
        alpha = float(self._setup.stage.alpha(int(state.images_seen)))
        average = self._restate(state.ema)
        return samples.generate(self._sample, average, z, labels, batch_size=size, alpha=alpha)

    def _save_grid(self, name: str, images: np.ndarray, columns: int, *, step: int) -> None:
        grid = samples.grid(images, columns)
        if jax.process_index() == 0:
            samples.save_picture(self._run.folder.samples / f"{name}.png", grid)
        self._logs.grid(name.rstrip("0123456789"), grid, step)

    def _finish(self, state: TrainState, step: int) -> None:
        """Saves what an interruption left unsaved, and says how to go on."""
        done = step == self._setup.total_steps
        if not done and step and self._checkpoints.latest_step() != step:
            logs.tick_means(self._history)  # Nothing that is not finite may be saved.
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
