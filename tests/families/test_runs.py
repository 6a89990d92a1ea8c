"""Every tiny recipe from the command line, smaller still: a few finite steps, resuming, generating, several devices."""

import functools
import json
import pathlib
import shutil
import subprocess
import sys

import contracts
import jax
import numpy as np
import pytest
import tiny_runs
from PIL import Image

from flaxgan.train.checkpoints import store
from flaxgan.train.trained import load

DEVICES = 4
RECIPES = contracts.tiny_recipe_of_each_file()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("families")


def _arguments(recipe: str, workdir: pathlib.Path) -> list[str]:
    return ["--config", recipe, "--workdir", str(workdir), *contracts.flags(contracts.overrides(recipe))]


@functools.cache
def _trained(recipe: str, folder: pathlib.Path) -> pathlib.Path:
    """The run folder of a recipe, trained to its end without interruption."""
    workdir = folder / pathlib.Path(recipe).name
    outcome = tiny_runs.train(_arguments(recipe, workdir))
    assert outcome.code == 0, outcome.err
    return workdir


def _interrupted(workdir: pathlib.Path, other: pathlib.Path) -> pathlib.Path:
    """A copy of a run folder as it was two steps before its end."""
    shutil.copytree(workdir, other)
    shutil.rmtree(store.locate(other))
    return other


def _digest(workdir: pathlib.Path) -> str:
    return store.digest(store.read_all(store.locate(workdir)))


def _losses(workdir: pathlib.Path) -> dict[str, float]:
    """The losses and statistics of the last two steps."""
    line = tiny_runs.read_lines(workdir / "log.jsonl")[-1]
    return {**line["losses"], **line["statistics"]}


@pytest.fixture(scope="module")
def on_four_devices(folder) -> dict[str, pathlib.Path]:
    """Family -> a run of it whose last two steps were made by four devices, all in one process."""
    workdirs, commands = {}, []
    for family in contracts.FAMILIES:
        recipe = contracts.recipe_of(family)
        workdirs[family] = _interrupted(_trained(recipe, folder), folder / f"{family}-on-four-devices")
        commands.append(_arguments(recipe, workdirs[family]))
    program = "import json, sys, train\nfor command in json.loads(sys.argv[1]):\n    assert train.main(command) == 0"
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands)],
        env=tiny_runs.environment(devices=DEVICES),
        cwd=tiny_runs.ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"devices: {DEVICES} cpu") == len(commands)
    return workdirs


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_family_has_a_recipe_that_trains_it_on_the_digits(family):
    assert contracts.recipe_of(family)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: pathlib.Path(recipe).name)
def test_a_few_steps_are_finite_and_move_both_networks(recipe, folder):
    workdir = _trained(recipe, folder)
    for line in tiny_runs.read_lines(workdir / "log.jsonl"):
        values = {**line["losses"], **line["statistics"]}
        assert np.isfinite(list(values.values())).all(), values
    first, last = (
        store.read_all(workdir / "checkpoints" / step)
        for step in sorted((path.name for path in (workdir / "checkpoints").iterdir()), key=int)[-2:]
    )
    for network in ("g", "d", "ema"):
        leaves = [jax.tree.leaves(found[network]["params"]) for found in (first, last)]
        moved = [not np.array_equal(*pair) for pair in zip(*leaves)]
        assert np.mean(moved) > 0.5, network
        assert all(np.isfinite(leaf).all() for leaf in leaves[1])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: pathlib.Path(recipe).name)
def test_a_run_that_goes_on_ends_as_one_without_interruption(recipe, folder, tmp_path):
    """Runs that grow are interrupted in the middle of a fade."""
    workdir = _trained(recipe, folder)
    again = _interrupted(workdir, tmp_path / "again")
    found = load(again)
    if found.config.growth.start_px is not None:
        assert found.stage == len(found.gan.stages) - 1 and 0.25 < found.alpha < 0.75
    outcome = tiny_runs.train(_arguments(recipe, again))
    assert outcome.code == 0, outcome.err
    assert "resuming" in outcome.out
    assert _digest(again) == _digest(workdir)
    assert _losses(again) == _losses(workdir)


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_images_can_be_generated_from_a_run(family, folder, tmp_path):
    workdir = _trained(contracts.recipe_of(family), folder)
    gan = load(workdir).gan
    outcome = tiny_runs.flaxgan("generate", workdir, "--seeds=0-2", "--out", tmp_path / "images")
    assert outcome.code == 0, outcome.err
    images = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "images").iterdir())]
    assert [image.shape for image in images] == [gan.image_shape[:2]] * 3
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_four_devices_have_the_losses_of_one(family, folder, on_four_devices):
    one, four = _losses(_trained(contracts.recipe_of(family), folder)), _losses(on_four_devices[family])
    assert one.keys() == four.keys() and len(one) >= 4
    for name, value in one.items():
        np.testing.assert_allclose(four[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
