import functools

import jax
import numpy as np
import pytest
import tiny_runs
from PIL import Image

from flaxgan.cli import reconstruct
from flaxgan.config import Config, DataConfig
from flaxgan.data.decoding.transform import Transform
from flaxgan.train import trained
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.evaluation import reconstruction
from flaxgan.train.step import binding, state

SHAPE = (8, 12, 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of a network that encodes, before its first step."""
    config = binding.complete(
        Config(
            network={"name": "ogan", "z_dim": 6, "channels": 4},
            data=DataConfig(source="synthetic", resolution=SHAPE[:2]),
            batch_size=4,
        )
    )
    built = binding.build(config, SHAPE)
    folder = tmp_path_factory.mktemp("ogan")
    checkpoints = Checkpoints(folder / "checkpoints", keep=1)
    with tiny_runs.quick_compilation():
        checkpoints.save(jax.jit(lambda: state.init(built.gan, built.optimizers, seed=0))(), config)
    checkpoints.close()
    return folder


@pytest.fixture
def originals(tmp_path) -> list:
    """Five images of the run's shape, as files."""
    paths = [tmp_path / "images" / f"{name}.png" for name in "abcde"]
    paths[0].parent.mkdir()
    for index, path in enumerate(paths):
        pixels = np.random.default_rng(index).integers(0, 256, SHAPE, np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def _read(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def _cells(path, columns: int) -> np.ndarray:
    """The images of a grid, which are enlarged 6 times there and 2 pixels apart."""
    picture, (height, width) = _read(path), (8 * 6 + 4, 12 * 6 + 4)
    rows = picture.shape[0] // height
    assert picture.shape == (rows * height, columns * width, 3)
    cells = picture.reshape(rows, height, columns, width, 3).transpose(0, 2, 1, 3, 4)
    return cells.reshape(-1, height, width, 3)[:, 2:-2:6, 2:-2:6]


def test_pairs_of_originals_and_reconstructions_and_their_error(run, originals, tmp_path):
    out = tmp_path / "deep" / "grid.png"
    outcome = tiny_runs.flaxgan("reconstruct", run, originals[0].parent, "--out", out, "--batch-size=2")
    assert outcome.code == 0, outcome.err
    cells = _cells(out, columns=4)
    images = np.stack([_read(path) for path in originals])
    np.testing.assert_array_equal(cells[0:10:2], images)
    assert not cells[10:].any()

    loaded = trained.load(run)
    floats = (images / 127.5 - 1).astype(np.float32)
    again = functools.partial(reconstruction.reconstruct, loaded.gan)
    with tiny_runs.quick_compilation():
        expected = jax.jit(again)(loaded.variables, trained.load_discriminator(run), floats)
    np.testing.assert_allclose(cells[1:10:2], 127.5 * (np.asarray(expected) + 1), atol=0.6)
    assert np.ptp(cells[1:10:2].astype(int), axis=0).max() > 0
    error = np.mean((expected - floats) ** 2)
    first, second = outcome.out.splitlines()
    assert first == f"5 pairs, original and reconstruction, in {out}"
    assert second.startswith("mean squared error ") and abs(float(second.split()[-1]) - error) < 1e-4


def test_files_are_taken_in_their_order_and_the_scale_matters(run, originals, tmp_path):
    grids = [tmp_path / "one.png", tmp_path / "two.png"]
    for out, scale in zip(grids, ("0.8", "3")):
        tiny_runs.flaxgan("reconstruct", run, originals[3], originals[1], "--out", out, "--scale", scale)
    plain, scaled = (_cells(out, columns=2) for out in grids)
    np.testing.assert_array_equal(plain[::2], [_read(originals[3]), _read(originals[1])])
    np.testing.assert_array_equal(plain[::2], scaled[::2])
    assert np.any(plain[1::2] != scaled[1::2])


def test_images_of_another_size_are_cropped_about_the_centre_and_resized(run, tmp_path):
    """And converted to the run's channels."""
    wide = np.zeros((16, 60), np.uint8)
    wide[:, 18:42] = 200  # What is left of the width at an aspect of 8 to 12.
    Image.fromarray(wide).save(tmp_path / "wide.png")
    outcome = tiny_runs.flaxgan("reconstruct", run, tmp_path / "wide.png", "--out", tmp_path / "grid.png")
    assert outcome.code == 0, outcome.err
    assert np.all(_cells(tmp_path / "grid.png", columns=2)[0] == 200)


def test_images_are_transformed_as_those_of_the_run_were():
    """Where the run took images of one size only, others are fitted."""
    fitted = DataConfig(resolution=(8, 12), channels=1)
    assert reconstruct.transform_of(fitted) == Transform((8, 12), 1, "center", "lanczos")
    for crop, resize in (("none", "box"), ("center", "none"), ("center", "lanczos")):
        data = DataConfig(resolution=8, crop=crop, resize=resize)
        assert reconstruct.transform_of(data) == Transform((8, 8), 3, crop, resize)


def test_a_run_that_does_not_encode_is_refused_by_name(tiny_run, originals, tmp_path):
    outcome = tiny_runs.flaxgan("reconstruct", tiny_run.workdir, originals[0], "--out", tmp_path / "grid.png")
    assert outcome.code == 1 and not (tmp_path / "grid.png").exists()
    found = "found network 'stylegan2', allowed: one whose discriminator encodes images"
    assert outcome.err == f"error: {tiny_run.workdir}: {found}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images", "--out=grid.jpg"], "--out: found grid.jpg, allowed: a file FILE.png"),
        (["images", "--out=grid.png", "--batch-size=0"], "--batch-size: found 0, allowed: at least 1"),
        (["images", "--out=grid.png", "--scale=0"], "--scale: found 0.0, allowed: a finite number above 0"),
        (["images", "--out=grid.png", "--scale=nan"], "--scale: found nan, allowed: a finite number above 0"),
        (["empty", "--out=grid.png"], "empty: holds no images, allowed: a folder of .png"),
        (["no.png", "--out=grid.png"], "no.png: No such file or directory"),
        (["text.png", "--out=grid.png"], "text.png: not a PNG, JPEG or WebP image, or damaged"),
    ],
)
def test_wrong_values_are_refused(run, originals, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    outcome = tiny_runs.flaxgan("reconstruct", run, *arguments)
    assert outcome.code == 1 and outcome.err.startswith(f"error: {message}")
    assert not (tmp_path / "grid.png").exists()


def test_a_folder_without_a_run_is_refused(originals, tmp_path):
    outcome = tiny_runs.flaxgan("reconstruct", tmp_path, originals[0], "--out", tmp_path / "grid.png")
    assert outcome.code == 1 and "holds no checkpoint" in outcome.err
