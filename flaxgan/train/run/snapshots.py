"""Snapshots of a run: image grids and metrics, which accompany a checkpoint."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from flaxgan.data.pipeline import batching
from flaxgan.train.evaluation import samples
from flaxgan.train.run.logs import Logs
from flaxgan.train.run.prepare import PreparedRun
from flaxgan.train.step.stage_plan import Stage
from flaxgan.train.step.state import TrainState


class Snapshots:
    """Takes the snapshots of one stage of a run."""

    def __init__(self, run: PreparedRun, logs: Logs, stage: Stage) -> None:
        self._run, self._logs, self._stage = run, logs, stage
        gan, noise = run.setup.gan, run.config.metric_noise
        self._sample = samples.sampler(gan, run.mesh, stage=stage.network_stage)
        options = {"noise_mode": noise} if gan.has_style else {}
        self._metric_sample = samples.sampler(gan, run.mesh, options, stage=stage.network_stage)

    def save_reals(self) -> None:
        """Saves the grid of real images."""
        run = self._run
        rows, columns = samples.grid_shape(run.source.image_shape, run.config.data.num_classes)
        if run.config.data.num_classes == columns and run.config.data.labels == "classes":
            images, _ = batching.by_class(run.source, rows, run.config.seed)
        else:
            images, _ = batching.first_images(run.source, rows * columns, run.config.seed)
        self._save_grid("reals", images, columns, step=0)

    def take(self, state: TrainState, step: int) -> dict[str, float]:
        """Saves the grid of generated images, and returns the values of the metrics by name."""
        run, kimg = self._run, int(state.images_seen) / 1000
        setup, seed = run.setup, run.config.seed
        rows, columns = samples.grid_shape(setup.gan.image_shape, setup.gan.num_classes)
        settings: dict[str, Any] = {"vectors": setup.vector_labels, "prior": setup.prior}
        latents = samples.grid_latents(setup.gan, seed, rows, columns, **settings)
        fakes = self._generate(self._sample, state, *latents)
        self._save_grid(f"fakes{round(kimg):06d}", fakes, columns, step=step)
        measured = self._measure(state) if run.measures else {}
        if measured:
            self._logs.measured({"step": step, "kimg": kimg, **measured})
        return measured

    def _measure(self, state: TrainState) -> dict[str, float]:
        run = self._run
        setup, config = run.setup, run.config
        settings: dict[str, Any] = {"labels": setup.metric_labels, "prior": setup.prior}
        z, labels = samples.metric_latents(setup.gan, config.seed, config.metric_images, **settings)
        fakes = self._generate(self._metric_sample, state, z, labels)
        found: dict[str, float] = {}
        for measure in run.measures:
            found |= {name: float(value) for name, value in measure(fakes, labels).items()}
        return found

    def _generate(
        self, sample: Callable[..., jax.Array], state: TrainState, z: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        size = max(self._stage.batch_size, jax.device_count())
        alpha = float(self._stage.alpha(int(state.images_seen)))
        average = self._run.recalibrate_batch_stats(state.ema)
        return samples.generate(sample, average, z, labels, batch_size=size, alpha=alpha)

    def _save_grid(self, name: str, images: np.ndarray, columns: int, *, step: int) -> None:
        grid = samples.grid(images, columns)
        if jax.process_index() == 0:
            samples.save_picture(self._run.folder.samples / f"{name}.png", grid)
        self._logs.grid(name.rstrip("0123456789"), grid, step)
