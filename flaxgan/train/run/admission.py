"""Admission of a prepared run to its folder, the last checks before anything is written or compiled."""

import dataclasses
from collections.abc import Callable, Sequence

from flaxgan import lookup
from flaxgan.data.pipeline import batching
from flaxgan.errors import FieldError
from flaxgan.train.checkpoints import store, transfer
from flaxgan.train.evaluation import snapshot_metrics, standing_statistics
from flaxgan.train.programs import compilation
from flaxgan.train.run import disk_space, logs, run_folder
from flaxgan.train.run.prepare import PreparedRun
from flaxgan.train.run.run_folder import RunFolder


def admit(run: PreparedRun) -> PreparedRun:
    """Checks a run against its folder, and adds what its snapshots compute. It needs no other process.

    Args:
      run: as `prepare` returns it.

    Returns:
      The run with its metrics, with the calibration of batch normalization, and with the step from which it continues.

    Raises:
      FieldError: if a field does not fit the networks or the data.
      ValueError: if the folder holds another run, or checkpoints that do not fit.
    """
    steps = store.steps(run.folder.checkpoints)
    resume = _resume_step(run.folder, steps, run.resume)
    functions = [_metric_function(name) for name in run.config.metrics]
    if not steps:
        _check_start(run)
    recalibrate_batch_stats = standing_statistics.batch_stats_recalibrator(
        run.setup.gan,
        num_batches=run.config.standing_batches,
        batch_size=run.config.batch_size,
        labels=run.setup.metric_labels,
        prior=run.setup.prior,
        field="config.standing_batches",
    )
    run_folder.require_same_run(run.folder, run.config, run.data)
    if measured := run_folder.measured_names(run.folder):
        run.retention.check_measured(measured)
    reals = batching.all_images(run.source) if functions else ()
    settings = {"num_classes": run.config.data.num_classes, "seed": run.config.seed}
    measures = tuple(function(*reals, **settings) for function in functions)
    return dataclasses.replace(run, resume=resume, measures=measures, recalibrate_batch_stats=recalibrate_batch_stats)


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


def _check_start(run: PreparedRun) -> None:
    """Checks what a run without checkpoints needs: networks to start from, and disk space."""
    state = compilation.abstract_state(run.setup, run.mesh)
    if run.config.init_from:
        transfer.check_networks(state, run.config.init_from)
    disk_space.require_space(run.folder.root, state, run.retention)


def _metric_function(name: str) -> Callable[..., snapshot_metrics.Measure]:
    if name not in lookup.function_names(snapshot_metrics):
        raise FieldError("config.metrics", name, ", ".join(lookup.function_names(snapshot_metrics)))
    return lookup.function(snapshot_metrics, name)
