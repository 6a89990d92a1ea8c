import argparse

import jax
import numpy as np
import pytest
import tiny_runs
from PIL import Image

from flaxgan.cli import _seed_images, generate
from flaxgan.ops.image import to_uint8
from flaxgan.train import trained


def _read(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def images_of(tiny_run, tmp_path):
    """A function (*arguments) -> images [N, H, W, C] that `flaxgan generate` writes into a folder, in their order."""

    def make(seeds: str, *arguments: str) -> np.ndarray:
        out = tmp_path / "-".join([seeds, *arguments]).replace("/", "_")
        outcome = tiny_runs.flaxgan("generate", tiny_run.workdir, "--seeds", seeds, "--out", out, *arguments)
        assert outcome.code == 0, outcome.err
        return np.stack([_read(path) for path in sorted(out.iterdir())])

    return make


@pytest.mark.parametrize(
    "text, seeds",
    [
        ("5", [5]),
        ("0-3", [0, 1, 2, 3]),
        ("1,5,7-9", [1, 5, 7, 8, 9]),
        (" 2 , 1-1", [2, 1]),
        ("4294967295", [2**32 - 1]),
    ],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert _seed_images.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1-", "1,,2", "1.5", "4294967296", "0-3-5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(ValueError, match=r"--seeds: found .*, allowed: numbers and ranges such as 0-63"):
        _seed_images.parse_seeds(text)


def test_truncation_draws_large_components_again():
    """The others stay: of the same seed, more truncation moves more of z."""
    whole = _seed_images.latent(3, 500)
    np.testing.assert_array_equal(whole, np.random.RandomState(3).randn(500).astype(np.float32))
    for truncation in (2.0, 0.5):
        z = _seed_images.latent(3, 500, truncation)
        kept = np.abs(whole) <= truncation
        np.testing.assert_array_equal(z[kept], whole[kept])
        assert np.abs(z).max() <= truncation and 0 < np.count_nonzero(~kept) == np.count_nonzero(z != whole)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--truncation", "0.5"], "--truncation: allowed only without styles; this generator is truncated with --psi"),
        (["--truncation", "0.001"], "--truncation: found 0.001, allowed: 0.01 or more"),
        (["--standing-batches", "-1"], "--standing-batches: found -1, allowed: 0 or more"),
        (["--standing-batches", "4"], "--standing-batches: found 4, allowed: 0, because this generator has no batch"),
    ],
)
def test_what_a_style_based_generator_cannot_do_is_refused(tiny_run, tmp_path, arguments, message):
    out = tmp_path / "grid.png"
    outcome = tiny_runs.flaxgan("generate", tiny_run.workdir, "--seeds", "0", "--out", out, *arguments)
    assert outcome.code == 1 and f"error: {message}" in outcome.err and not out.exists()


def test_images_are_those_of_the_average_for_numpy_latents_and_seed_modulo_classes(tiny_run, images_of, tmp_path):
    found = images_of("0-4,7")
    names = sorted(path.name for path in next(tmp_path.iterdir()).iterdir())
    assert names == [f"seed000{seed}.png" for seed in (0, 1, 2, 3, 4, 7)]
    run = trained.load(tiny_run.workdir)
    seeds = [0, 1, 2, 3, 4, 7]
    z = np.stack([np.random.RandomState(seed).randn(8) for seed in seeds]).astype(np.float32)
    labels = np.array([seed % 2 for seed in seeds], np.int32)
    expected = tiny_runs.images(run, z, labels, noise_mode="const")
    assert found.shape == (6, 8, 8, 3)
    # The compiled program may round the other way.
    assert np.abs(found - np.asarray(to_uint8(expected), int)).max() <= 1


def test_an_image_depends_on_its_seed_alone(images_of):
    together = images_of("0-4")
    np.testing.assert_array_equal(images_of("0-4", "--batch-size=2"), together)
    assert np.abs(images_of("3")[0].astype(int) - together[3]).max() <= 1


def test_class_of_every_image(images_of):
    plain, zeros, ones = images_of("0-3"), images_of("0-3", "--class=0"), images_of("0-3", "--class=1")
    np.testing.assert_array_equal(plain[::2], zeros[::2])
    np.testing.assert_array_equal(plain[1::2], ones[1::2])
    assert not np.array_equal(zeros, ones)


def test_psi_of_zero_gives_the_average_image_and_one_changes_nothing(images_of):
    plain, none, average = images_of("0-3"), images_of("0-3", "--psi=1"), images_of("0-3", "--psi", "0")
    np.testing.assert_array_equal(none, plain)
    np.testing.assert_array_equal(average, np.broadcast_to(average[:1], average.shape))
    assert plain[0].tolist() != plain[2].tolist()
    np.testing.assert_array_equal(images_of("0-3", "--psi=0", "--cutoff=0"), plain)


@pytest.mark.parametrize("mode", ["const", "none", "random"])
def test_noise_mode_is_that_of_the_generator(mode, tiny_run, images_of):
    run = trained.load(tiny_run.workdir)
    z = np.stack([np.random.RandomState(seed).randn(8) for seed in range(4)]).astype(np.float32)
    labels = np.arange(4, dtype=np.int32) % 2
    expected = {
        other: np.asarray(to_uint8(tiny_runs.images(run, z, labels, noise_mode=other)), int)
        for other in ("const", "none", "random")
    }
    found = images_of("0-3", f"--noise-mode={mode}")
    differences = {other: np.abs(found - images).sum() for other, images in expected.items()}
    assert np.abs(found - expected[mode]).max() <= 1
    assert min(differences, key=differences.get) == mode and len(set(differences.values())) == 3


def test_grid_has_a_column_for_each_class_and_is_filled_up(tiny_run, tmp_path, images_of):
    out = tmp_path / "deep" / "grid.png"
    outcome = tiny_runs.flaxgan("generate", tiny_run.workdir, "--seeds", "0-4", "--out", out)
    assert outcome.code == 0 and outcome.out == f"5 images in {out}\n"
    picture, images = _read(out), images_of("0-4")
    cell = 8 * 8 + 2 * 2  # Enlarged to 64 pixels, with a gap.
    assert picture.shape == (3 * cell, 2 * cell, 3)
    shown = picture.reshape(3, cell, 2, cell, 3).transpose(0, 2, 1, 3, 4).reshape(6, cell, cell, 3)[:, 2:-2:8, 2:-2:8]
    np.testing.assert_array_equal(shown[:5], images)
    assert not shown[5].any()


def test_grid_of_one_class_is_about_square(tiny_run, tmp_path):
    out = tmp_path / "grid.png"
    tiny_runs.flaxgan("generate", tiny_run.workdir, "--seeds", "0-8", "--class", 1, "--out", out)
    assert _read(out).shape[0] == _read(out).shape[1] == 3 * 68


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seeds=x"], "--seeds: found 'x', allowed: "),
        (["--seeds=" + "9" * 5000], "--seeds: found '9999"),
        (["--seeds=0-999999,7"], "--seeds: found '0-999999,7', allowed: up to 1,000,000 at a time"),
        (["--seeds=0", "--psi=nan"], "--psi: found nan, allowed: a finite number"),
        (["--seeds=0", "--class=2"], "--class: found 2, allowed: 0 to 1"),
        (["--seeds=0", "--class=-1"], "--class: found -1, allowed: 0 to 1"),
        (["--seeds=0", "--batch-size=0"], "--batch-size: found 0, allowed: at least 1"),
        (["--seeds=0", "--cutoff=-1"], "--cutoff: found -1, allowed: at least 0"),
    ],
)
def test_wrong_values_are_refused(tiny_run, tmp_path, arguments, message):
    outcome = tiny_runs.flaxgan("generate", tiny_run.workdir, *arguments, "--out", tmp_path / "out")
    assert outcome.code == 1 and outcome.err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(tiny_run, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = tiny_runs.flaxgan("generate", tiny_run.workdir, "--seeds=0", "--out", tmp_path / "file" / "out")
    assert outcome.code == 1 and outcome.err.startswith("error: ") and str(tmp_path / "file") in outcome.err


def test_a_run_without_checkpoints_is_refused(tmp_path):
    outcome = tiny_runs.flaxgan("generate", tmp_path, "--seeds=0", "--out", tmp_path / "out")
    assert outcome.code == 1 and "holds no checkpoint" in outcome.err


def test_batches_are_rounded_up_to_whole_devices(monkeypatch, tiny_run):
    sizes = []
    monkeypatch.setattr(jax, "device_count", lambda: 3)
    monkeypatch.setattr(_seed_images.device_mesh, "data_mesh", lambda: "mesh")
    monkeypatch.setattr(_seed_images.samples, "sampler", lambda gan, mesh, options, stage: (mesh, options))
    monkeypatch.setattr(_seed_images.samples, "generate", lambda *unused, batch_size, alpha: sizes.append(batch_size))
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    for count in (10, 5):
        arguments = parser.parse_args(["RUN", "--out=x", f"--seeds=0-{count - 1}", "--batch-size=4"])
        _seed_images.images_of_seeds(trained.load(tiny_run.workdir), list(range(count)), arguments)
    assert sizes == [6, 5]
