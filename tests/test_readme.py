"""The README's examples are run as they stand."""

import pathlib
import re
import sys

import tiny_runs

from flaxgan import networks

README = pathlib.Path(__file__).parent.parent / "README.md"


def example(name: str = "library") -> str:
    """The code block behind the marker of that name."""
    found = re.search(rf"<!-- {name}-example.*?-->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    return found[1]


def test_library_example_runs_and_gives_what_it_says():
    names = {}
    exec(compile(example(), str(README), "exec"), names)
    assert names["ws"].shape == (4, names["gan"].generator.num_ws, 64)
    assert names["penalty"].shape == names["lengths"].shape == (4,)
    assert (names["lengths"] > 0).all()
    assert names["features"].shape == (4, 16, 24, 16)
    # Every style is 1 and so is every weight: demodulation divides by sqrt(3 * 3 * 3).
    inner = names["noise"][:, 4:7, 4:7].sum(axis=(1, 2, 3)) / 27**0.5
    assert abs(names["features"][:, 5, 5, 0] - inner).max() < 1e-4


def test_library_example_is_about_ten_lines():
    assert len([line for line in example().splitlines() if line and not line.startswith(("import", "from"))]) <= 10


def test_family_example_is_one_file_and_one_recipe(tmp_path, monkeypatch):
    """It trains, resumes, generates and lists like any other."""
    folder, configs = tmp_path / "networks", tmp_path / "configs"
    folder.mkdir()
    configs.mkdir()
    (folder / "perceptron.py").write_text(example("family"))
    (configs / "perceptron.py").write_text(example("recipe"))
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
