"""The examples of docs/extending are used as they stand: each is written into a copy of the package and trained."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny_runs
from doc_examples import ROOT, example
from sklearn.datasets import load_digits

from flaxgan import networks
from flaxgan.train.checkpoints import store

PAGES = "docs/extending"

RECIPE = """
import dataclasses

from flaxgan.config import Config, DataConfig


def get_config(variant: str = "") -> Config:
    config = _config()
    if variant == "":
        return config
    data = dataclasses.replace(config.data, num_classes=10 if variant == "classifying_perceptron" else 0)
    network = {**config.network, "name": variant}
    return dataclasses.replace(
        config, network=network, data=data, loss="auxiliary_classifier", loss_settings={}, d_regularizers={}
    )


def _config() -> Config:
    return Config(
        network={"name": "perceptron", "width": 16},
        data=DataConfig(source="npz", path="digits.npz", channels=1),
        batch_size=32,
        total_kimg=0.64,
        snapshot_kimg=0.32,
        loss="smoothed_logistic",
        loss_settings={"smoothing": 0.2},
        d_regularizers={
            "mean_drift": {"weight": 0.01},
            "consistency": {},
            "score_anchor": {"interval": 2},
        },
        metrics=("mean_image",),
        metric_images=64,
        keep_best="mean_error:min",
    )
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> pathlib.Path:
    """A copy of the package with all examples in it, and images for the data source."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "flaxgan", root / "flaxgan", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", root)
    package, losses = root / "flaxgan", root / "flaxgan" / "losses"
    family = example(f"{PAGES}/family.md", "family")
    (package / "networks" / "perceptron.py").write_text(family)
    (package / "networks" / "classifying_perceptron.py").write_text(_classifying(family))
    (package / "data" / "sources" / "npz.py").write_text(example(f"{PAGES}/source.md", "source"))
    (package / "cli" / "fields.py").write_text(example(f"{PAGES}/command.md", "command"))
    _append(losses / "adversarial.py", "loss.md", "loss", "class-loss")
    _append(losses / "regularizers.py", "regularizer.md", "regularizer", "consistency", "stateful")
    _append(package / "train" / "evaluation" / "snapshot_metrics.py", "metric.md", "metric")
    _add_input(package / "train" / "step" / "regularizer_inputs.py")
    (root / "configs").mkdir()
    (root / "configs" / "extended.py").write_text(RECIPE)
    digits = load_digits()
    images = (digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    np.savez(root / "digits.npz", images=images, labels=digits.target)
    return root


@pytest.fixture(scope="module")
def trained(checkout) -> pathlib.Path:
    """The folder of a run with all examples in one recipe."""
    done = _train(checkout, "run")
    assert done.returncode == 0, done.stderr
    return checkout / "run"


def _append(path: pathlib.Path, page: str, *names: str) -> None:
    examples = (example(f"{PAGES}/{page}", name) for name in names)
    path.write_text("\n\n".join([path.read_text(), *examples]))


def _add_input(path: pathlib.Path) -> None:
    page, table = f"{PAGES}/regularizer.md", "INPUTS: dict[str, Input] = {\n"
    before, found, behind = path.read_text().partition(table)
    assert found
    function, entry = example(page, "input-function"), example(page, "input-entry")
    path.write_text(f"{before}{function}\n\n{table}{entry}{behind}")


def _classifying(family: str) -> str:
    """The family of the page with class logits, for the loss that looks at them."""
    score = 'nn.Dense(1, name="logit")(x)[:, 0]'
    assert score in family and "    if num_classes:\n" in family
    family = family.replace(score, f'{score}, class_logits=nn.Dense(10, name="class_logits")(x)')
    return family.replace("    if num_classes:\n", "    if num_classes != 10:\n")


def _train(checkout: pathlib.Path, workdir: str, *overrides: str, variant: str = "") -> subprocess.CompletedProcess:
    return _run(checkout, "train.py", "--config", f"configs/extended.py{variant}", "--workdir", workdir, *overrides)


def _run(checkout: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**tiny_runs.environment(), "PYTHONPATH": os.fspath(checkout)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_loss_and_regularizers_are_trained_with(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["loss"] == "smoothed_logistic" and config["loss_settings"] == {"smoothing": 0.2}
    assert config["d_regularizers"]["consistency"] == {"interval": None, "weight": 10.0}
    last = tiny_runs.read_lines(trained / "log.jsonl")[-1]
    assert last["kimg"] >= 0.64
    names = json.dumps(last)
    assert "mean_drift" in names and "consistency" in names and "score_anchor" in names


@pytest.mark.slow
def test_state_of_a_regularizer_is_saved(trained):
    state = store.read_all(store.locate(trained))["regularizers"]["d"]
    assert list(state) == ["score_anchor"] and list(state["score_anchor"]) == ["anchor"]
    assert float(state["score_anchor"]["anchor"]) != 0


@pytest.mark.slow
def test_metric_is_measured(trained):
    records = tiny_runs.read_lines(trained / "metrics.jsonl")
    assert len(records) >= 3
    assert all(record["mean_error"] > 0 and record["std_error"] > 0 for record in records)


@pytest.mark.slow
def test_source_is_trained_from(trained):
    data = json.loads((trained / "data.json").read_text())
    assert data["images"] == 1797 and data["shape"] == [8, 8, 1] and "pixels" in data


@pytest.mark.slow
def test_source_refuses_what_it_does_not_have(checkout):
    done = _train(checkout, "refused", "--config.data.resolution=16")
    assert done.returncode == 1
    assert "config.data.path: found images of shape (8, 8, 1), allowed: images of shape (16, 16, 1)" in done.stderr


@pytest.mark.slow
def test_loss_that_uses_classes(checkout):
    refused = _train(checkout, "refused", variant=":perceptron")
    assert refused.returncode == 1 and "no discriminator with class logits" in refused.stderr
    done = _train(checkout, "classes", "--config.total_kimg=0.32", variant=":classifying_perceptron")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_command_runs(checkout, trained):
    call = "import sys; from flaxgan import cli; sys.exit(cli.main(sys.argv[1:]))"
    shown = _run(checkout, "-c", call, "fields", str(trained), "batch_size", "seed")
    assert (shown.returncode, shown.stdout) == (0, "batch_size: 32\nseed: 0\n"), shown.stderr
    refused = _run(checkout, "-c", call, "fields", str(trained), "speed")
    assert refused.returncode == 1 and refused.stderr.startswith("error: FIELD: found 'speed', allowed: network, ")
    assert "fields" in _run(checkout, "-c", call, "--help").stdout


def test_family_is_one_file_and_one_recipe(tmp_path, monkeypatch):
    """It trains, resumes, generates and lists like any other."""
    folder, configs = tmp_path / "networks", tmp_path / "configs"
    folder.mkdir()
    configs.mkdir()
    (folder / "perceptron.py").write_text(example(f"{PAGES}/family.md", "family"))
    (configs / "perceptron.py").write_text(example(f"{PAGES}/family.md", "recipe"))
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(folder)])
    try:
        run = tmp_path / "run"
        short = ["--config.total_kimg=1", "--config.snapshot_kimg=1"]
        command = ["--config", f"{configs / 'perceptron.py'}:tiny", "--workdir", str(run), *short]
        outcome = tiny_runs.train(command)
        assert outcome.code == 0, outcome.err
        assert tiny_runs.read_lines(run / "log.jsonl")[-1]["kimg"] >= 1
        assert "nothing to do" in tiny_runs.train(command).out
        out = tmp_path / "digits.png"
        generated = tiny_runs.flaxgan("generate", run, "--seeds", "0-3", "--out", out)
        assert generated.code == 0 and out.exists(), generated.err
        refused = tiny_runs.train([*command, "--config.data.num_classes=10"])
        assert "data.num_classes: found 10, allowed: 0" in refused.err
        listed = tiny_runs.flaxgan("recipes", configs)
        assert "family     perceptron" in listed.out and "variants   tiny" in listed.out
    finally:
        sys.modules.pop("flaxgan.networks.perceptron", None)
