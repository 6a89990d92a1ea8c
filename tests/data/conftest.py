"""Small sets of images, written by Pillow, in every form that sources read."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from flaxgan.data import open_source


def random_pixels(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, kind, **options)
    return file.getvalue()


def write_folder(root, contents: dict[str, bytes], labels=None):
    """Writes files under a new folder, and labels as dataset.json."""
    root.mkdir(parents=True, exist_ok=True)
    for name, data in _with_labels(contents, labels).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path, contents: dict[str, bytes], labels=None, *, compression=zipfile.ZIP_STORED):
    """Writes files into a new archive, and labels as dataset.json."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in _with_labels(contents, labels).items():
            archive.writestr(name, data)
    return path


def _with_labels(contents, labels):
    return contents if labels is None else {**contents, "dataset.json": json.dumps({"labels": labels}).encode()}


@pytest.fixture
def make_images():
    """A function (count, **shape) -> ({name: bytes}, pixels [M, H, W, C])."""

    def make(count: int = 6, **shape):
        pixels = [random_pixels(seed, **shape) for seed in range(count)]
        return {f"{index:0{len(str(count - 1))}}.png": encoded(image) for index, image in enumerate(pixels)}, np.stack(
            pixels
        )

    return make


@pytest.fixture(params=["folder", "zip"])
def opened(request, tmp_path):
    """A function (contents, labels=None, **wanted) -> Source that writes the files and opens them, in both forms."""

    def write_and_open(contents, labels=None, /, **wanted):
        path = tmp_path / f"set.{request.param}"
        writer = {"folder": write_folder, "zip": write_zip}[request.param]
        writer(path, contents, labels)
        return open_source(request.param, path, **wanted)

    return write_and_open


@pytest.fixture
def digits():
    return open_source("digits", "")
