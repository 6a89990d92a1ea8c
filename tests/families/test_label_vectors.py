"""Label vectors: every family with classes takes them, and a run trains on them."""

import dataclasses

import contracts
import jax
import numpy as np
import pytest
import tiny_runs
from PIL import Image

from flaxgan.train.programs import preflight
from flaxgan.train.step import binding, random_inputs


def test_vectors_are_drawn_as_often_as_in_the_data():
    data = np.array([[0, 1], [1, 1], [0, 1], [0, 0]], np.float32)
    for scale in (1, 0.5, -3, 300):  # whole numbers up to 255 are kept as bytes
        drawn = np.asarray(random_inputs.vector_sampler(data * scale)(jax.random.key(0), (20, 100)))
        assert drawn.dtype == np.float32 and drawn.shape == (20, 100, 2)
        rows, counts = np.unique(drawn.reshape(-1, 2) / scale, axis=0, return_counts=True)
        shares = dict(zip(map(tuple, np.rint(rows).tolist()), counts / 2000))
        assert shares == pytest.approx({(0, 0): 0.25, (0, 1): 0.5, (1, 1): 0.25}, abs=0.05)


def vectors_of(family: str):
    config = contracts.small(contracts.recipe_of(family))
    as_in_data = {"fake_labels": "data", "metric_labels": "data"}  # Vectors have no uniform distribution.
    return dataclasses.replace(config, data=dataclasses.replace(config.data, labels="vectors"), **as_in_data)


WITH_CLASSES = {config.network["name"] for config in contracts.tiny_recipes().values() if config.data.num_classes}


@pytest.mark.parametrize("family", sorted(WITH_CLASSES))
def test_every_family_with_classes_takes_vectors(family):
    config = vectors_of(family)
    built = binding.build(binding.complete(config), contracts.image_shape(config))
    preflight.check_batch(built)
    assert built.abstract_labels(3).shape == (3, config.data.num_classes)


def test_networks_that_take_classes_alone_are_refused_by_name(monkeypatch):
    built = binding.build(binding.complete(vectors_of("stylegan2")), (8, 8, 1))

    def refuse(self, *arguments):
        raise ValueError("labels: found float32, allowed: int [N]")

    monkeypatch.setattr(type(built.gan.generator), "init", refuse)
    problem = (
        r"config\.data\.labels: found 'vectors', allowed: 'classes', "
        r"because the generator of network 'stylegan2' refuses vectors: labels: found"
    )
    with pytest.raises(ValueError, match=problem):
        preflight.check_batch(built)


ONE, TWO = "1,0,0,0,0,0,0,0,0,0", "0,0,0.5,0,0,0,0,0,-1,0"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of a tiny network trained on digits whose labels are vectors."""
    workdir = tmp_path_factory.mktemp("vectors") / "run"
    fields = ["--config.data.labels=vectors", "--config.metrics", "--config.total_kimg=0.016"]
    outcome = tiny_runs.train(tiny_runs.command("grey", workdir, None, *fields))
    assert outcome.code == 0, outcome.err
    return workdir


def test_run_with_vectors_and_its_images(run, tmp_path):
    assert (run / "samples" / "reals.png").exists() and len(tiny_runs.read_lines(run / "log.jsonl")) == 1
    pictures = []
    for number, label in enumerate((ONE, TWO, ONE)):
        out = tmp_path / f"{number}.png"
        outcome = tiny_runs.flaxgan("generate", run, "--seeds=0-3", f"--label={label}", "--out", out)
        assert outcome.code == 0, outcome.err
        pictures.append(np.asarray(Image.open(out)))
    assert np.array_equal(pictures[0], pictures[2]) and not np.array_equal(pictures[0], pictures[1])
    assert pictures[0].shape[0] == pictures[0].shape[1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--label: found None, allowed: 10 numbers with commas"),
        (["--label=1,2"], "--label: found '1,2', allowed: 10 numbers with commas"),
        (["--label=" + ",".join(["nan"] * 10)], "--label: found 'nan,"),
        (["--label=x"], "--label: found 'x', allowed"),
        (["--class=3"], "--class: found 3, allowed: nothing, because this run has label vectors"),
    ],
)
def test_wrong_labels_are_refused(run, tmp_path, arguments, message):
    outcome = tiny_runs.flaxgan("generate", run, "--seeds=0", *arguments, "--out", tmp_path / "out")
    assert outcome.code == 1 and outcome.err.startswith(f"error: {message}")


def test_quality_of_classes_needs_classes(tmp_path):
    command = tiny_runs.command("grey", tmp_path / "run", None, "--config.data.labels=vectors")
    outcome = tiny_runs.train(command)
    message = "config.metrics: found 'class_quality' with config.data.labels='vectors', allowed: "
    assert outcome.code == 1 and message in outcome.err
