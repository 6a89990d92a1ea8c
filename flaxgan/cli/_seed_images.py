"""Images of seeds: the work of `flaxgan generate`."""

import argparse
import re

import jax
import numpy as np
from etils import epath

from flaxgan.errors import FieldError
from flaxgan.latent_prior import MIN_NORMAL_BOUND, LatentPrior
from flaxgan.train.distributed import device_mesh
from flaxgan.train.evaluation import samples, standing_statistics
from flaxgan.train.step import random_inputs
from flaxgan.train.step.state import Average
from flaxgan.train.trained import Trained, load
from flaxgan.types import Gan

MAX_SEEDS = 1_000_000


def run(arguments: argparse.Namespace) -> None:
    """Writes the images."""
    seeds = parse_seeds(arguments.seeds)
    if arguments.batch_size < 1:
        raise FieldError("--batch-size", arguments.batch_size, "at least 1")
    if not np.isfinite(arguments.psi):
        raise FieldError("--psi", arguments.psi, "a finite number")
    if arguments.cutoff is not None and arguments.cutoff < 0:
        raise FieldError("--cutoff", arguments.cutoff, "at least 0")
    if arguments.truncation is not None and not arguments.truncation >= MIN_NORMAL_BOUND:
        raise FieldError("--truncation", arguments.truncation, f"{MIN_NORMAL_BOUND} or more")
    if (arguments.standing_batches or 0) < 0:
        raise FieldError("--standing-batches", arguments.standing_batches, "0 or more")
    trained = load(arguments.run_path)
    with jax.default_matmul_precision(trained.config.matmul_precision):
        images = images_of_seeds(trained, seeds, arguments)
    out = epath.Path(arguments.out)
    if out.suffix == ".png":
        out.parent.mkdir(parents=True, exist_ok=True)
        samples.save_picture(out, _grid(images, _num_columns(trained, arguments)))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for seed, image in zip(seeds, images):
            samples.save_picture(out / f"seed{seed:04d}.png", image)
    print(f"{len(seeds)} images in {out}")


def parse_seeds(text: str) -> list[int]:
    """Returns the seeds that a text such as 0-63 or 1,5,7-9 stands for.

    Raises:
      ValueError: on anything else, and on more than `MAX_SEEDS`.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last >= 2**32:
            raise FieldError("--seeds", text, "numbers and ranges such as 0-63 or 1,5,7-9")
        if len(seeds) + last - first >= MAX_SEEDS:
            raise FieldError("--seeds", text, f"up to {MAX_SEEDS:,} at a time")
        seeds += range(first, last + 1)
    return seeds


def images_of_seeds(trained: Trained, seeds: list[int], arguments: argparse.Namespace) -> np.ndarray:
    """Returns uint8 images [N, H, W, C]. z comes from NumPy's RandomState(seed), as in the official StyleGAN2 code."""
    gan, prior = trained.gan, trained.prior.truncated(arguments.truncation)
    z = np.stack([prior.draw_of_seed(seed, gan.z_dim) for seed in seeds])
    labels = _labels(trained, seeds, arguments)
    size = -(-arguments.batch_size // jax.device_count()) * jax.device_count()
    sample = samples.sampler(gan, device_mesh.data_mesh(), _options(gan, arguments), stage=trained.stage)
    average = _average(trained, prior, _sampled_labels(trained, labels, arguments), arguments.standing_batches)
    return samples.generate(sample, average, z, labels, batch_size=min(size, len(z)), alpha=trained.alpha)


def _average(trained: Trained, prior: LatentPrior, labels: np.ndarray, num_batches: int | None) -> Average:
    """Returns the generator's average, with standing statistics of a prior and of labels where they are asked for."""
    config = trained.config
    recalibrate_batch_stats = standing_statistics.batch_stats_recalibrator(
        trained.gan,
        num_batches=config.standing_batches if num_batches is None else num_batches,
        batch_size=config.batch_size,
        labels=random_inputs.sampler_of(labels, trained.gan.num_classes),
        prior=prior,
        field="--standing-batches",
    )
    return recalibrate_batch_stats(trained.average)


def _sampled_labels(trained: Trained, labels: np.ndarray, arguments: argparse.Namespace) -> np.ndarray:
    """Returns the labels that standing statistics see: those that are asked for, or each class once.

    They do not depend on the seeds, so that the image of a seed does not depend on the other seeds.
    """
    everything = (arguments.label, arguments.vector) == (None, None)
    return np.arange(max(trained.gan.num_classes, 1)) if everything else labels[:1]


def _labels(trained: Trained, seeds: list[int], arguments: argparse.Namespace) -> np.ndarray:
    """Returns int32 [N], or float32 [N, K] where the run's labels are vectors."""
    label, count = arguments.label, trained.gan.num_classes
    if trained.config.data.labels == "vectors":
        if label is not None:
            raise FieldError("--class", label, "nothing, because this run has label vectors (--label)")
        return np.tile(parse_vector(arguments.vector, count), (len(seeds), 1))
    if arguments.vector is not None:
        raise FieldError("--label", arguments.vector, "nothing, because this run has no label vectors")
    if label is None:
        return np.array([seed % max(count, 1) for seed in seeds], np.int32)
    if not 0 <= label < count:
        allowed = f"0 to {count - 1}" if count else "nothing, because this run has no classes"
        raise FieldError("--class", label, f"{allowed}")
    return np.full(len(seeds), label, np.int32)


def parse_vector(text: str | None, count: int) -> np.ndarray:
    """Returns the label vector, float32 [K], that a text such as 0,1,0.5 stands for.

    Raises:
      ValueError: on anything else, and on another number of numbers.
    """
    try:
        vector = np.array([float(number) for number in (text or "").split(",")], np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if len(vector) != count or not np.all(np.isfinite(vector)):
        raise FieldError("--label", text, f"{count} numbers with commas, because labels are vectors")
    return vector


def _options(gan: Gan, arguments: argparse.Namespace) -> dict:
    given = {
        "truncation_psi": arguments.psi,
        "truncation_cutoff": arguments.cutoff,
        "noise_mode": arguments.noise_mode,
    }
    if gan.has_style:
        if arguments.truncation is not None:
            raise ValueError("--truncation: allowed only without styles; this generator is truncated with --psi")
        return given
    if (arguments.psi, arguments.cutoff, arguments.noise_mode) != (1.0, None, "const"):
        raise ValueError("--psi, --cutoff and --noise-mode: allowed only with a style-based generator")
    return {}


def _num_columns(trained: Trained, arguments: argparse.Namespace) -> int:
    """Returns the number of classes that the grid shows side by side, or 0."""
    return trained.gan.num_classes if (arguments.label, arguments.vector) == (None, None) else 0


def _grid(images: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns a grid that is filled up with black; one column per class where seeds run through the classes."""
    columns = num_classes if 1 < num_classes <= len(images) else int(np.ceil(np.sqrt(len(images))))
    fill = np.zeros((-len(images) % columns, *images.shape[1:]), np.uint8)
    return samples.grid(np.concatenate([images, fill]), columns)
