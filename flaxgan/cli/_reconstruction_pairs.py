"""Pairs of images and their reconstructions: the work of `flaxgan reconstruct`."""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from flaxgan.config import DataConfig
from flaxgan.data.decoding import decode
from flaxgan.data.decoding.transform import Transform
from flaxgan.data.formats import image_files
from flaxgan.errors import FieldError, Words
from flaxgan.ops.image import to_float, to_uint8_rounded
from flaxgan.train.evaluation import reconstruction, samples
from flaxgan.train.trained import Trained, load, load_discriminator


def run(arguments: argparse.Namespace) -> None:
    """Writes the grid."""
    out = epath.Path(arguments.out)
    if out.suffix != ".png":
        raise FieldError("--out", arguments.out, "a file FILE.png")
    if arguments.batch_size < 1:
        raise FieldError("--batch-size", arguments.batch_size, "at least 1")
    if not 0 < arguments.scale < float("inf"):
        raise FieldError("--scale", arguments.scale, "a finite number above 0")
    trained = load(arguments.run_path)
    check_encodes(trained, arguments.run_path)
    originals = read_images(arguments.image_paths, transform_of(trained.config.data))
    d_variables = load_discriminator(arguments.run_path)
    with jax.default_matmul_precision(trained.config.matmul_precision):
        found = reconstructions(trained, d_variables, originals, arguments)
    error = float(np.mean(np.square(found - np.asarray(to_float(jnp.asarray(originals))), dtype=np.float64)))
    out.parent.mkdir(parents=True, exist_ok=True)
    samples.save_picture(out, pairs(originals, np.asarray(to_uint8_rounded(jnp.asarray(found)))))
    print(f"{len(originals)} pairs, original and reconstruction, in {out}\nmean squared error {error:.6f}")


def check_encodes(trained: Trained, run_path: str) -> None:
    """Checks that a run's discriminator encodes images on their own.

    Raises:
      FieldError: if it does not.
    """
    name = trained.config.network["name"]
    if not trained.gan.encodes:
        raise FieldError(run_path, Words(f"network {name!r}"), "one whose discriminator encodes images")
    if trained.gan.num_classes:
        raise FieldError(run_path, Words(f"network {name!r} with classes"), "one without")


def transform_of(data: DataConfig) -> Transform:
    """Returns the preprocessing of images before a run encodes them."""
    crop, resize = data.crop, data.resize
    if (crop, resize) == ("none", "none"):
        crop, resize = "center", "lanczos"
    return Transform(data.resolution_px, data.channels, crop, resize)


def read_images(paths: list[str], transform: Transform) -> np.ndarray:
    """Reads files, and all images in folders in the order of their names, as uint8 [N, H, W, C].

    Raises:
      ValueError: if there are none, or naming the file if one cannot be read.
      FileNotFoundError: if there is nothing at a path.
    """
    found = [file for path in paths for file in _files(pathlib.Path(path))]
    return np.stack([decode.decode(file.read_bytes(), str(file), transform) for file in found])


def reconstructions(
    trained: Trained, d_variables: dict, originals: np.ndarray, arguments: argparse.Namespace
) -> np.ndarray:
    """Returns float images [N, H, W, C], made in batches of one size so that one program serves all."""
    size = min(arguments.batch_size, len(originals))
    again = jax.jit(
        lambda g_variables, d_variables, images: reconstruction.reconstruct(
            trained.gan, g_variables, d_variables, to_float(images), scale=arguments.scale
        )
    )
    found = []
    for start in range(0, len(originals), size):
        batch = originals[start : start + size]
        padded = np.concatenate([batch, np.repeat(originals[:1], size - len(batch), axis=0)])
        found.append(np.asarray(again(trained.variables, d_variables, padded))[: len(batch)])
    return np.concatenate(found)


def pairs(originals: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Returns a grid, about as wide as high, in which each original has its reconstruction to the right of it."""
    per_row = max(1, round(float(np.sqrt(len(originals) / 2))))
    images = np.stack([originals, found], axis=1).reshape(-1, *originals.shape[1:])
    fill = np.zeros((-len(images) % (2 * per_row), *images.shape[1:]), np.uint8)
    return samples.grid(np.concatenate([images, fill]), 2 * per_row)


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if not path.is_dir():
        return [path]
    names, _ = image_files.split_names(
        [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    )
    if not names:
        raise FieldError(str(path), Words("no images"), f"a folder of {', '.join(decode.SUFFIXES)} files")
    return [path / name for name in names]
