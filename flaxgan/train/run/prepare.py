"""Preparation of a run: everything that can be checked before compilation."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from jax.sharding import Mesh

from flaxgan import lookup
from flaxgan.config import Config, DataConfig
from flaxgan.data import fingerprint, open_source
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.pipeline import batching, memory_cache, worker_processes
from flaxgan.data.source import Source
from flaxgan.errors import FieldError
from flaxgan.train.checkpoints import retention, store, transfer
from flaxgan.train.checkpoints.retention import Retention
from flaxgan.train.distributed import device_mesh, multihost
from flaxgan.train.evaluation import snapshot_metrics, standing_statistics
from flaxgan.train.programs import compilation, preflight
from flaxgan.train.run import disk_space, logs, run_folder
from flaxgan.train.run.batch_reader import BatchReader
from flaxgan.train.run.run_folder import RunFolder
from flaxgan.train.step import binding
from flaxgan.train.step.training_setup import TrainingSetup


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """Everything that training needs, checked but not yet compiled.

    Attributes:
      setup: the run as code, with its completed config.
      source: the real images.
      reader: the batches of them.
      data: the dataset fingerprint, see `flaxgan.data.fingerprint`.
      mesh: all devices.
      folder: the run folder.
      measures: the metrics of each snapshot.
      recalibrate_batch_stats: recalibrates the statistics of batch normalization for sampling, or does nothing.
      retention: retention policy of the checkpoints.
      resume: the step of an earlier checkpoint from which to continue; None continues from the latest.
    """

    setup: TrainingSetup
    source: Source
    reader: BatchReader
    data: Mapping[str, Any]
    mesh: Mesh
    folder: RunFolder
    measures: tuple[snapshot_metrics.Measure, ...]
    recalibrate_batch_stats: standing_statistics.RecalibrateBatchStats
    retention: Retention
    resume: int | None = None

    @property
    def config(self) -> Config:
        """The completed config, with the resolution of the images."""
        return self.setup.config


def prepare(config: Config, workdir: epath.PathLike, *, resume: int | None = None) -> PreparedRun:
    """Checks everything that can be checked before compilation, which takes minutes; writes nothing.

    Args:
      config: a completed config.
      workdir: the run folder, which is new or belongs to a run of the same config.
      resume: the step of an existing checkpoint from which to continue; None continues from the latest.

    Raises:
      ValueError: if a field, a file or an option is wrong on any host.
      FileNotFoundError: if the data are missing.
    """
    multihost.require_same("config", run_folder.machine_independent_json(config))
    folder = RunFolder(epath.Path(workdir))
    run = multihost.on_all_hosts(lambda: _check(config, folder, resume))
    multihost.require_same("data", json.dumps(run.data))
    return run


def _check(config: Config, folder: RunFolder, resume: int | None) -> PreparedRun:
    """Does the checks that need no other process."""
    steps = store.steps(folder.checkpoints)
    resume = _resume_step(folder, steps, resume)
    makers = [_measure_maker(name) for name in config.metrics]
    source = _open(config.data)
    preflight.check_accelerator(config.accelerator)
    # The resolution of the images is part of the run: tools and resumed runs need it.
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, resolution=source.image_shape[:2]))
    mesh = device_mesh.data_mesh()
    setup = _build(config, source, mesh)
    policy = retention.from_config(config, setup.stages)
    if not steps:
        _check_start(setup, mesh, folder, policy)
    recalibrate_batch_stats = standing_statistics.batch_stats_recalibrator(
        setup.gan,
        num_batches=config.standing_batches,
        batch_size=config.batch_size,
        vectors=setup.vector_labels,
        field="config.standing_batches",
    )
    found = fingerprint.dataset_fingerprint(source)
    run_folder.check(folder, config, found)
    if measured := run_folder.measured_names(folder):
        policy.check_measured(measured)
    reals = batching.all_images(source) if makers else ()
    measures = tuple(make(*reals, num_classes=config.data.num_classes, seed=config.seed) for make in makers)
    reader = BatchReader.from_config(config, source)
    return PreparedRun(setup, source, reader, found, mesh, folder, measures, recalibrate_batch_stats, policy, resume)


def _resume_step(folder: RunFolder, steps: Sequence[int], resume: int | None) -> int | None:
    """Returns the step of --resume, or None if the run has continued from there before."""
    if resume is None:
        return None
    if run_folder.was_resumed(folder, resume):
        note = folder.set_aside / run_folder.RESUMED
        logs.say(f"--resume={resume} was done before (without {note} it is done again); going on at the latest")
        return None
    if resume not in steps:
        raise FieldError("--resume", resume, ", ".join(map(str, steps)) or "no step, because there is no checkpoint")
    return resume


def _build(config: Config, source: Source, mesh: Mesh) -> TrainingSetup:
    setup = binding.build(
        config,
        source.image_shape,
        constrain=device_mesh.constrain_batch(mesh),
        **_label_statistics(source),
    )
    preflight.check_batch(setup)
    return setup


def _check_start(setup: TrainingSetup, mesh: Mesh, folder: RunFolder, policy: Retention) -> None:
    """Checks what a run without checkpoints needs: networks to start from, and disk space."""
    state = compilation.abstract_state(setup, mesh)
    if setup.config.init_from:
        transfer.check(state, setup.config.init_from)
    disk_space.check(folder.root, state, policy)


def _label_statistics(source: Source) -> dict[str, np.ndarray]:
    """Returns the keywords of `binding.build` about the labels of the images."""
    if source.labels is None:
        return {}
    if source.labels.ndim > 1:
        return {"label_vectors": source.labels}
    return {"class_counts": np.bincount(source.labels, minlength=source.num_classes)}


def _open(data: DataConfig) -> Source:
    wanted = {field.name: vars(data)[field.name] for field in dataclasses.fields(ImageSpec)}
    try:
        source = open_source(data.source, data.path, **wanted)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}\n{data.hint}".strip()) from error
    if data.workers == "processes":
        source = worker_processes.spread(source, data.num_threads)
    return memory_cache.keep(source, data.cache_gib)


def _measure_maker(name: str) -> Callable[..., snapshot_metrics.Measure]:
    try:
        return lookup.function(snapshot_metrics, name)
    except ValueError as error:
        raise ValueError(f"config.metrics: {error}") from None
