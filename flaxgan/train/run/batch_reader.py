"""Batches of real images for a run, from any of its steps on."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import Mesh

from flaxgan.config import Config
from flaxgan.data.pipeline import batching, worker_processes
from flaxgan.data.pipeline.batching import Batch
from flaxgan.data.pipeline.device_prefetch import Prefetcher, prefetch
from flaxgan.data.source import Source
from flaxgan.train.distributed import device_mesh
from flaxgan.train.step.stage_plan import Stage


@dataclasses.dataclass(frozen=True)
class BatchReader:
    """Reads the batches of a run.

    Attributes:
      source: the real images.
      seed: the seed of the run.
      batches_per_step: number of batches that a step consumes.
      mirror: whether to flip images at random.
      num_threads: number of threads that decode images.
    """

    source: Source
    seed: int
    batches_per_step: int
    mirror: bool
    num_threads: int

    @classmethod
    def from_config(cls, config: Config, source: Source) -> "BatchReader":
        """Builds the reader of a run."""
        data = config.data
        lines = worker_processes.LINES if data.workers == "processes" else 1
        return cls(source, config.seed, config.d_steps, data.mirror, data.num_threads * lines)

    def on_devices(self, stage: Stage, step: int, mesh: Mesh) -> Prefetcher:
        """Transfers this process's rows of the batches from a step on to its devices, ahead of their use."""
        rows = self._read(stage, step, 0, process_index=jax.process_index(), process_count=jax.process_count())
        return prefetch(rows, device_mesh.batched(mesh))

    def whole(self, stage: Stage, step: int, repeat: int) -> Batch:
        """Reads the whole global batch of a step's repeat, on the host."""
        batches: Any = self._read(stage, step, repeat)
        with contextlib.closing(batches):
            return next(batches)

    def _read(self, stage: Stage, step: int, repeat: int, **process: int) -> Iterator[Batch]:
        """Reads the batches from a step's repeat on: the rows of one process, or all rows."""
        return batching.batches(
            self.source,
            batch_size=stage.batch_size,
            seed=self.seed,
            start=(step - stage.first_step) * self.batches_per_step + repeat,
            first_image=stage.first_image,
            mirror=self.mirror,
            num_threads=self.num_threads,
            **process,
        )
