import dataclasses

import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.run import admission, prepare, run_folder


def _config(variant: str = "rgb", *, data: dict | None = None, **fields):
    config = load_recipe(f"{tiny_runs.RECIPE}:{variant}")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **(data or {})), **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(tiny_runs.write_folder(tmp_path_factory.mktemp("images"), (8, 8, 3)))


def test_measures_see_the_reals_once(tmp_path, monkeypatch):
    seen = []
    maker = lambda images, labels, **settings: seen.append((images.shape, labels.shape, settings)) or "measure"
    monkeypatch.setattr(admission, "_metric_function", {"class_quality": maker}.get)
    prepared = admission.admit(prepare.prepare(_config("grey"), tmp_path))
    assert prepared.measures == ("measure",)
    assert seen == [((1797, 8, 8, 1), (1797,), {"num_classes": 10, "seed": 0})]


def test_a_run_without_metrics_measures_nothing(tmp_path, folder):
    admitted = admission.admit(prepare.prepare(_config(data={"path": folder}), tmp_path / "run"))
    assert admitted.measures == () and admitted.resume is None and not (tmp_path / "run").exists()


def test_a_metric_that_does_not_exist_is_refused(tmp_path, folder):
    prepared = prepare.prepare(_config(data={"path": folder}, metrics=("fid9",)), tmp_path / "run")
    with pytest.raises(ValueError, match="config.metrics: found 'fid9', allowed: class_qual"):
        admission.admit(prepared)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_is_left_alone(tmp_path, folder):
    prepared = prepare.prepare(_config(data={"path": folder}), tmp_path)
    run_folder.make(prepared.folder, prepared.config, prepared.data)
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match="  seed: 0 there, 1 here"):
        admission.admit(prepare.prepare(_config(data={"path": folder}, seed=1), tmp_path))
    assert (tmp_path / "config.json").read_text() == before
