"""A run on images of all sizes and kinds, some of which cannot be used."""

import json

import numpy as np
import pytest
import tiny_runs
from PIL import Image

SHAPING = ["--config.data.crop=center", "--config.data.resize=box", "--config.data.resolution=8"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of images of several modes and sizes, of which three are damaged."""
    folder = tiny_runs.write_folder(tmp_path_factory.mktemp("odd") / "photos", (8, 8, 3))
    random = np.random.default_rng(0)
    for index, mode in enumerate(("L", "CMYK", "RGBA", "P")):
        size = random.integers(8, 40, 2).tolist()
        picture = Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).convert(mode)
        picture.save(folder / "class0" / f"9{index}{'.jpg' if mode == 'CMYK' else '.png'}")
    (folder / "class0" / "000.png").write_bytes(b"")
    (folder / "class1" / "001.png").write_bytes(b"no image")
    (folder / "class1" / "003.png").write_bytes((folder / "class1" / "005.png").read_bytes()[:70])
    return folder


def test_unusable_images_are_skipped_and_counted(photos, tmp_path):
    command = tiny_runs.command("rgb", tmp_path / "run", photos, *SHAPING, "--config.data.on_error=skip")
    outcome = tiny_runs.train(command)
    assert outcome.code == 0, outcome.err
    said = "3 images could not be used, and were replaced by the next one in the set:"
    assert said in outcome.out and "class1/001.png: not a PNG" in outcome.out
    assert tiny_runs.read_lines(tmp_path / "run" / "log.jsonl")[-1]["skipped_images"] == 3
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert (kept["crop"], kept["resize"], kept["on_error"]) == ("center", "box", "skip")


def test_or_the_first_of_them_stops_the_run(photos, tmp_path):
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", photos, *SHAPING))
    assert outcome.code == 1 and "class0/000.png: the file is empty" in outcome.err
    assert not (tmp_path / "run").exists()
