"""A run that is ready to be compiled: everything that can be checked before has been checked."""

import dataclasses
import json
from collections.abc import Mapping
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
from flaxgan.train.checkpoints import retention, store, transfer
from flaxgan.train.checkpoints.retention import Retention
from flaxgan.train.distributed import device_mesh, multihost
from flaxgan.train.evaluation import snapshot_metrics, standing_statistics
from flaxgan.train.programs import compilation, preflight
from flaxgan.train.run import disk_space, logs, run_folder
from flaxgan.train.step import binding, training_setup


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """Everything that training needs, checked but not yet compiled.

    Attributes:
      config: the completed config.
      setup: its names as code.
      source: the real images.
      data: what tells them from others.
      mesh: all devices.
      folder: the run folder.
      measures: what is measured at each snapshot.
      recalibrate_batch_stats: takes the statistics of batch normalization for sampling anew, or leaves them.
      retention: which checkpoints stay.
      resume: the step of an earlier checkpoint to go back to; None goes on at the latest.
    """

    config: Config
    setup: training_setup.TrainingSetup
    source: Source
    data: Mapping[str, Any]
    mesh: Mesh
    folder: run_folder.RunFolder
    measures: tuple[snapshot_metrics.Measure, ...]
    recalibrate_batch_stats: standing_statistics.RecalibrateBatchStats
    retention: Retention
    resume: int | None = None


def prepare(config: Config, workdir: epath.PathLike, *, resume: int | None = None) -> PreparedRun:
    """Checks everything that can be checked before minutes of compilation; nothing is written.

    Args:
      config: a completed config.
      workdir: the run folder, new or of the same config.
      resume: the step of the checkpoint that the run is to continue from, which has to be there; None is the latest.

    Raises:
      ValueError: naming the field or file, what was found and what is allowed; on several hosts also what was wrong on
        another of them.
      FileNotFoundError: if the data are missing.
    """
    multihost.require_same("config", run_folder.course(config))
    folder = run_folder.RunFolder(epath.Path(workdir))
    run = multihost.all_or_none(lambda: _check(config, folder, resume))
    multihost.require_same("data", json.dumps(run.data))
    return run


def _check(config: Config, folder: run_folder.RunFolder, resume: int | None) -> PreparedRun:
    """What one process can check by itself."""
    steps = store.steps(folder.checkpoints)
    if resume is not None and run_folder.was_resumed(folder, resume):
        note = folder.set_aside / run_folder.RESUMED
        logs.say(f"--resume={resume} was done before (without {note} it is done again); going on at the latest")
        resume = None
    if resume is not None and resume not in steps:
        allowed = ", ".join(map(str, steps)) or "no step, because there is no checkpoint"
        raise ValueError(f"--resume: found {resume}, allowed: {allowed}")
    makers = [_measure_maker(name) for name in config.metrics]
    source, data = _open(config.data), config.data
    preflight.check_accelerator(config.accelerator)
    # What the data decided is part of the run: tools and resumed runs need it.
    config = dataclasses.replace(config, data=dataclasses.replace(data, resolution=source.image_shape[:2]))
    mesh = device_mesh.data_mesh()
    setup = binding.build(
        config,
        source.image_shape,
        **_label_statistics(source),
        constrain=device_mesh.constrain_batch(mesh),
    )
    preflight.check_batch(setup)
    if config.init_from and not steps:
        transfer.check(compilation.abstract_state(setup, mesh), config.init_from)
    recalibrate_batch_stats = standing_statistics.batch_stats_recalibrator(
        setup.gan,
        num_batches=config.standing_batches,
        batch_size=config.batch_size,
        vectors=setup.vector_labels,
        field="config.standing_batches",
    )
    rule = retention.of_config(config, setup.stages)
    if not steps:
        disk_space.check(folder.root, compilation.abstract_state(setup, mesh), rule)
    found = fingerprint.dataset_fingerprint(source)
    run_folder.check(folder, config, found)
    if measured := run_folder.measured_names(folder):
        rule.check_measured(measured)
    reals = batching.all_images(source) if makers else ()
    made = tuple(make(*reals, num_classes=data.num_classes, seed=config.seed) for make in makers)
    return PreparedRun(config, setup, source, found, mesh, folder, made, recalibrate_batch_stats, rule, resume)


def _label_statistics(source: Source) -> dict[str, np.ndarray]:
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


def _measure_maker(name: str):
    try:
        return lookup.function(snapshot_metrics, name)
    except ValueError as error:
        raise ValueError(f"config.metrics: {error}") from None
