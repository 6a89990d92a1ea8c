import importlib.util
import os
import pathlib
import subprocess
import sys
import venv
import zipfile

import pytest
import tiny_runs

from flaxgan.train.recipes import packaged
from flaxgan.train.recipes.loader import load_recipe, recipe_name

NAMES = sorted(path.stem for path in (tiny_runs.ROOT / "configs").glob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    # Without hatchling in this environment (it is in the dev extra), the build fetches it.
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(folder), str(tiny_runs.ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.parametrize(
    "recipe, parts",
    [
        ("stylegan2_auto", ("stylegan2_auto", "")),
        ("pggan_celebahq1024:tiny", ("pggan_celebahq1024", "tiny")),
        ("configs/a.py", ("configs/a.py", "")),
        ("a.py:big", ("a.py", "big")),
        ("C:/a.py:v:1", ("C:/a.py", "v:1")),
        ("folder/recipe", ("folder/recipe", "")),
        ("recipe.json", ("recipe.json", "")),
    ],
)
def test_a_recipe_is_a_name_or_a_path_and_a_variant(recipe, parts):
    assert packaged.split(recipe) == parts


def test_names_are_the_recipes_of_the_checkout():
    assert packaged.names() == NAMES and packaged.folder() == tiny_runs.ROOT / "configs"


def test_a_name_is_the_same_recipe_as_its_path_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tiny_runs.ROOT / "configs" / "pggan_celebahq1024.py"
    assert load_recipe("pggan_celebahq1024:tiny") == load_recipe(f"{path}:tiny")
    assert load_recipe("pggan_celebahq1024") == load_recipe(str(path))
    assert recipe_name("pggan_celebahq1024:tiny") == recipe_name(f"{path}:tiny") == "pggan_celebahq1024-tiny"


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="--config: found 'stylegan9', allowed: .*stylegan2_auto, .*or the path of a"):
        load_recipe("stylegan9")


def test_train_py_and_flaxgan_train_are_one_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--config", "quickstart", "--dry-run"]
    one, other = tiny_runs.train(arguments), tiny_runs.flaxgan("train", *arguments)
    assert one == other and one.code == 0 and "generator" in one.out
    assert tiny_runs.train(["--help"]).out.startswith("usage: train.py [--config")
    assert tiny_runs.flaxgan("train", "--help").out.startswith("usage: flaxgan train [--config")
    assert "flaxgan train --help" in tiny_runs.flaxgan("train", *arguments, "--confg").err


@pytest.mark.slow
def test_wheel_holds_the_recipes_and_the_mark_of_its_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        scripts = archive.read(next(name for name in files if name.endswith("entry_points.txt"))).decode()
    assert [name for name in sorted(files) if name.startswith("flaxgan/configs/")] == [
        f"flaxgan/configs/{name}.py" for name in NAMES
    ]
    assert "flaxgan/py.typed" in files and "flaxgan = flaxgan.cli:program" in scripts


@pytest.mark.slow
def test_an_installed_wheel_trains_by_name_in_an_empty_folder(wheel, tmp_path):
    folder, place = tmp_path / "venv", tmp_path / "empty"
    place.mkdir()
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    # What flaxgan runs on is here; its own files come from the wheel, which is first on the path.
    others = next(path for path in map(pathlib.Path, sys.path) if (path / "jax").is_dir())
    (site / "others.pth").write_text(f"{others}\n")
    install = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-deps", "--no-index"]
    environment = {name: value for name, value in tiny_runs.environment().items() if name != "PYTHONPATH"}
    subprocess.run([*install, "--ignore-installed", str(wheel)], env=environment, check=True)
    command = [str(folder / "bin" / "flaxgan"), "train", "--config", "quickstart", "--config.total_kimg=0.064"]
    short = ["--config.metrics", "--config.tick_kimg=0.032", "--config.snapshot_kimg=0.064"]
    done = subprocess.run([*command, *short], env=environment, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.listdir(place) == ["runs"] and (place / "runs" / "quickstart" / "log.jsonl").exists()
    where = [str(folder / "bin" / "python"), "-c", "import flaxgan; print(flaxgan.__file__)"]
    assert subprocess.run(where, env=environment, cwd=place, capture_output=True, text=True).stdout.startswith(
        str(site)
    )
