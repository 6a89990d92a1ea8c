"""Preparation of a run: a config becomes code, and its images are opened."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from etils import epath
from jax.sharding import Mesh

from flaxgan.config import Config, DataConfig
from flaxgan.data import fingerprint, open_source
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.pipeline import memory_cache, worker_processes
from flaxgan.data.source import Source
from flaxgan.train.checkpoints import retention
from flaxgan.train.checkpoints.retention import Retention
from flaxgan.train.distributed import device_mesh, multihost
from flaxgan.train.evaluation.snapshot_metrics import Measure
from flaxgan.train.evaluation.standing_statistics import RecalibrateBatchStats
from flaxgan.train.programs import preflight
from flaxgan.train.run import run_folder
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
      data: the dataset fingerprint, see `flaxgan.data.fingerprint`.
      mesh: all devices.
      folder: the run folder.
      retention: retention policy of the checkpoints.
      resume: the step of an earlier checkpoint from which to continue; None continues from the latest.
      measures: the metrics of each snapshot; `flaxgan.train.run.admission` adds them.
      recalibrate_batch_stats: recalibrates the statistics of batch normalization for sampling, or does nothing; added
        likewise.
    """

    setup: TrainingSetup
    source: Source
    data: Mapping[str, Any]
    mesh: Mesh
    folder: RunFolder
    retention: Retention
    resume: int | None = None
    measures: tuple[Measure, ...] = ()
    recalibrate_batch_stats: RecalibrateBatchStats = lambda average: average

    @property
    def config(self) -> Config:
        """The completed config, with the resolution of the images."""
        return self.setup.config

    @functools.cached_property
    def reader(self) -> BatchReader:
        """The batches of real images."""
        return BatchReader.from_config(self.config, self.source)


def prepare(config: Config, workdir: epath.PathLike, *, resume: int | None = None) -> PreparedRun:
    """Turns a config into code and opens its images; writes nothing.

    Args:
      config: a completed config.
      workdir: the run folder.
      resume: the step of an existing checkpoint from which to continue; None continues from the latest.

    Raises:
      ValueError: if a field, a file or an option is wrong on any host.
      FileNotFoundError: if the data are missing.
    """
    folder = RunFolder(epath.Path(workdir))
    text = run_folder.machine_independent_json(config)
    multihost.require_same("config", text)
    run = multihost.on_all_hosts(lambda: _prepare(config, folder, resume))
    multihost.require_same("data", json.dumps(run.data))
    return run


def _prepare(config: Config, folder: RunFolder, resume: int | None) -> PreparedRun:
    """Does what needs no other process."""
    source = _open(config.data)
    # The resolution of the images is part of the run: tools and resumed runs need it.
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, resolution=source.image_shape[:2]))
    mesh = device_mesh.data_mesh()
    constrain = device_mesh.constrain_batch(mesh)
    setup = binding.build(config, source.image_shape, labels=source.labels, constrain=constrain)
    preflight.check_accelerator(config.accelerator)
    preflight.check_batch(setup)
    policy = retention.from_config(config, setup.stages)
    return PreparedRun(setup, source, fingerprint.dataset_fingerprint(source), mesh, folder, policy, resume)


def _open(data: DataConfig) -> Source:
    wanted = {field.name: vars(data)[field.name] for field in dataclasses.fields(ImageSpec)}
    try:
        source = open_source(data.source, data.path, **wanted)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}\n{data.hint}".strip()) from error
    if data.workers == "processes":
        source = worker_processes.spread(source, data.num_threads)
    return memory_cache.keep(source, data.cache_gib)
