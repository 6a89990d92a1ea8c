import dataclasses

import jax
import numpy as np
import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.run import prepare


def _config(variant: str = "rgb", *, data: dict | None = None, **fields):
    config = load_recipe(f"{tiny_runs.RECIPE}:{variant}")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **(data or {})), **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(tiny_runs.write_folder(tmp_path_factory.mktemp("images"), (8, 8, 3)))


def test_what_the_data_decide_becomes_part_of_the_run(tmp_path, folder):
    prepared = prepare.prepare(_config(data={"path": folder}), tmp_path / "run")
    assert prepared.config.data.resolution == (8, 8)
    assert prepared.data["images"] == len(prepared.source) and prepared.data["shape"] == [8, 8, 3]
    assert not (tmp_path / "run").exists()
    assert prepared.setup.gan.image_shape == prepared.source.image_shape == (8, 8, 3)
    assert prepared.mesh.size == jax.device_count()


def test_labels_of_fakes_follow_those_of_the_data(tmp_path):
    folder = tiny_runs.write_folder(tmp_path / "images", (8, 8, 3))
    for path in sorted((folder / "class1").iterdir())[2:]:
        path.unlink()
    prepared = prepare.prepare(_config(data={"path": str(folder)}), tmp_path / "run")
    labels = prepared.setup.labels(jax.random.key(0), (3000,))
    assert abs(float(np.mean(labels)) - 2 / 12) < 0.03


@pytest.mark.parametrize(
    "data, message",
    [
        ({"path": ""}, "config.data.path: found '', allowed: a folder"),
        ({"path": "nowhere"}, "config.data.path: found 'nowhere', which does not exist.*folder of PNG, JPEG or WebP"),
        ({"resolution": 16}, "000.png: the image is 8x8 pixels.*allowed: 16x16.*data.resolution"),
        (
            {"crop": "center"},
            "config.data.crop: found 'center', allowed: 'none', because config.data.resolution is unset",
        ),
        (
            {"labels": "vectors", "num_classes": 2},
            "config.data.labels: found 'vectors', allowed: 'classes', because .* has classes",
        ),
        ({"channels": 5}, "config.data.channels: found 5, allowed: 1"),
        ({"num_classes": 3}, "data.num_classes"),
        ({"source": "web"}, "config.data.source: found 'web', allowed: .*digits, folder"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path, folder, data, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare.prepare(_config(data={"path": folder, **data}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_hint_of_the_recipe_is_shown_where_data_are_missing(tmp_path):
    config = _config(data={"path": "nowhere", "hint": "Ask the museum for the pictures."})
    message = r"(?s)'nowhere', which does not exist.*Ask the museum for the pictures\.$"
    with pytest.raises(FileNotFoundError, match=message):
        prepare.prepare(config, tmp_path)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"accelerator": "tpu"}, "config.accelerator: found 'tpu', allowed: 'any', because this machine has only"),
        ({"batch_size": 6}, "config.batch_size: found 6"),
        ({"loss": "hinged"}, "config.loss: "),
    ],
)
def test_fields_that_do_not_fit_are_refused(tmp_path, folder, fields, message, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(ValueError, match=message):
        prepare.prepare(_config(data={"path": folder}, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
