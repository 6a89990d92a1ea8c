"""Trains one recipe on the digits in a process of its own and measures the generator's average; see families.py.

    python -m benchmarks.family_run --core 0 --workdir DIR --classifier FILE --grid FILE.png -- TRAIN.PY'S ARGUMENTS

The last line that it prints is a JSON object: what was measured, or {"failed": why}.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import sys

NUM_IMAGES = 1797
"""Generated images that are measured: as many as there are real ones."""

GRID_ROWS, GRID_COLUMNS, GRID_SHRINK = 6, 10, 2


def main(arguments: list[str]) -> None:
    """Trains, measures, saves the grid."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", type=int, help="the only CPU core to use")
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--classifier", required=True, help="where the classifier is kept between runs")
    parser.add_argument("--grid", help="where to write the sample grid")
    parser.add_argument("training", nargs="+")
    known = parser.parse_args(arguments)
    if known.core is not None:
        os.sched_setaffinity(0, {known.core})  # Before jax is imported, which counts the cores.
    print(json.dumps(_train(known) or _measured(known)))


def _train(known: argparse.Namespace) -> dict | None:
    """None, or why the training failed."""
    import train

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = train.main([*known.training, f"--workdir={known.workdir}"])
    if code == 130:
        raise SystemExit(code)
    return {"failed": errors.getvalue().strip()} if code else None


def _measured(known: argparse.Namespace) -> dict[str, float | bool | str]:
    import jax

    from flaxgan.data import open_source
    from flaxgan.metrics.class_quality import class_quality
    from flaxgan.train import trained
    from flaxgan.train.evaluation import samples
    from flaxgan.train.step import random_inputs

    run = trained.load(known.workdir)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    options = {"noise_mode": run.config.metric_noise} if run.gan.has_style else {}
    measured = samples.sampler(run.gan, mesh, options, stage=run.stage)
    shown = samples.sampler(run.gan, mesh, stage=run.stage)
    make = lambda sample, z, labels: samples.generate(sample, run.average, z, labels, batch_size=100, alpha=run.alpha)

    digits = open_source("digits", "", resolution=run.config.data.resolution, channels=1, num_classes=10)
    classifier = _classifier(pathlib.Path(known.classifier), digits)
    sampler = random_inputs.sampler_of(digits.labels, run.gan.num_classes)
    z, labels = samples.metric_latents(run.gan, run.config.seed, NUM_IMAGES, labels=sampler, prior=run.prior)
    found = class_quality(classifier, digits.images, make(measured, z, labels), labels if run.gan.num_classes else None)

    if known.grid:
        latents = samples.grid_latents(run.gan, run.config.seed, GRID_ROWS, GRID_COLUMNS, prior=run.prior)
        picture = samples.grid(make(shown, *latents), GRID_COLUMNS)[::GRID_SHRINK, ::GRID_SHRINK]
        pathlib.Path(known.grid).parent.mkdir(parents=True, exist_ok=True)
        samples.to_picture(picture).save(known.grid, optimize=True)
    log = [json.loads(line) for line in pathlib.Path(known.workdir, "log.jsonl").read_text().splitlines()]
    return {
        "family": run.config.network["name"],
        "conditional": run.gan.num_classes > 0,
        "g_parameters": _count(run.average.params),
        "d_parameters": _count(trained.load_discriminator(known.workdir)["params"]),
        "sec_per_kimg": _sec_per_kimg(log),
        **found,
    }


def _classifier(path: pathlib.Path, digits):
    """Trained by the first run that needs it."""
    import pickle

    from flaxgan.metrics.classifier import train_classifier

    if not path.exists():
        made = train_classifier(digits.images, digits.labels, num_classes=10, seed=0)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(made))
        part.replace(path)
    return pickle.loads(path.read_bytes())


def _count(params) -> int:
    import jax

    return sum(array.size for array in jax.tree.leaves(params))


def _sec_per_kimg(log: list[dict]) -> float:
    """Of all ticks together. Compilation, snapshots and measures count in none."""
    spent, before = 0.0, 0.0
    for line in log:
        spent, before = spent + line["sec_per_kimg"] * (line["kimg"] - before), line["kimg"]
    return spent / before


if __name__ == "__main__":
    main(sys.argv[1:])
