import argparse

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs
from flax import linen as nn
from PIL import Image

from flaxgan.cli import _seed_images, generate
from flaxgan.config import Config, DataConfig, LatentConfig
from flaxgan.nn.norms import BatchNorm
from flaxgan.ops.image import to_uint8
from flaxgan.train import trained
from flaxgan.train.step.state import Average
from flaxgan.types import Gan


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


class Normalized(nn.Module):
    """Batch normalization of z moved by ten times its class, shown in one row of pixels."""

    @nn.compact
    def __call__(self, z, labels=None, *, train: bool = False):
        normalized = BatchNorm(name="norm")(z + 10.0 * labels[:, None], train=train)
        return 0.1 * normalized[:, None, :, None]


@pytest.fixture(scope="module")
def normalized():
    """A trained generator of three classes with batch normalization and a uniform prior on [-2, 2]."""
    gan = Gan(Normalized(), None, 50, (1, 50, 1), 3)
    variables = dict(gan.generator.init(jax.random.key(0), jnp.zeros((1, 50)), jnp.zeros((1,), jnp.int32)))
    config = Config(
        {"name": "dcgan"}, DataConfig("digits", num_classes=3), latent=LatentConfig("uniform", 2.0), batch_size=64
    )
    return trained.Trained(gan, Average({}, variables), config)


def _generated(run, *arguments: str) -> np.ndarray:
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    known = parser.parse_args(["RUN", "--seeds=0-63", "--out=unused", "--batch-size=64", *arguments])
    return _seed_images.images_of_seeds(run, list(range(64)), known).astype(float) / 127.5 - 1


@pytest.mark.parametrize("truncation", [(), ("--truncation=0.25",)])
@pytest.mark.parametrize("label", ["0", "2"])
def test_standing_statistics_are_those_of_the_sampled_truncation_and_class(normalized, truncation, label):
    """With statistics of other latents or classes, the pixels would have another mean or deviation."""
    images = 10 * _generated(normalized, f"--class={label}", "--standing-batches=20", *truncation)
    np.testing.assert_allclose(images.mean(), 0, atol=0.06)
    np.testing.assert_allclose(images.std(), 1, atol=0.06)


def test_standing_statistics_without_a_class_are_those_of_all_classes_alike(normalized):
    images = 10 * _generated(normalized, "--standing-batches=20")
    means = [images[label::3].mean() for label in range(3)]  # The class is the seed modulo 3.
    deviation = np.sqrt(100 * 2 / 3 + 4 / 3)  # Of 0, 10 or 20, and of a number between -2 and 2.
    np.testing.assert_allclose(means, np.array([-10, 0, 10]) / deviation, atol=0.1)


def test_latents_have_the_prior_of_the_run(normalized):
    """Running statistics are those of initialization: mean 0, variance 1."""
    pixels = 10 * _generated(normalized, "--class=0")
    assert 1.9 < np.abs(pixels).max() <= 2.05
    np.testing.assert_allclose(pixels.std(), 2 / np.sqrt(3), atol=0.05)


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
