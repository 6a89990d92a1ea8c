"""Every recipe in configs/ is found by listing the folder, so that none can be forgotten."""

import ast

import jax
import pytest
import tiny_runs

from flaxgan.config import Config
from flaxgan.train import phases, setup
from flaxgan.train.recipe import load_recipe

FOLDER = tiny_runs.ROOT / "configs"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.py"))

HEADER = ("Paper:", "Command:", "Data:", "Hardware:", "Published:", "Reproduced:")

# Parameters of the official code's modules of the same configuration, (generator, discriminator).
PUBLISHED_COUNTS = {
    "stylegan2_ffhq": (30_370_060, 29_012_513),
    "stylegan2_ffhq256": (24_767_458, 24_001_089),
    "stylegan2_cifar10": (20_215_315, 23_089_664),
}


def _load(name: str, resolution=None):
    return load_recipe(str(FOLDER / f"{name}.py"), resolution)


def _row(config: Config) -> tuple:
    """Batch, stddev group, fmaps, learning rate, gamma, EMA kimg, ramp-up, mapping layers, total kimg, augmentation."""
    network, ema = config.network, config.ema
    return (
        config.batch_size,
        network["mbstd_group_size"],
        network["channel_base"] / 32768,
        config.d_optimizer.learning_rate,
        config.d_regularizers["r1"]["gamma"],
        ema.half_life_kimg,
        ema.rampup,
        network["mapping_layers"],
        config.total_kimg,
        config.augment.policy,
    )


@pytest.mark.parametrize(
    "name, row",
    [
        ("stylegan2_ffhq", (32, 4, 1, 0.002, 10, 10, None, 8, 25000, "off")),
        ("stylegan2_ffhq256", (64, 8, 0.5, 0.0025, 1, 20, None, 8, 25000, "off")),
        ("stylegan2_cifar10", (64, 32, 1, 0.0025, 0.01, 500, 0.05, 2, 100000, "ada")),
    ],
)
def test_recipe_has_the_values_of_the_published_configuration(name, row):
    """Reference: the official StyleGAN2-ADA code's configurations stylegan2, paper256 and cifar."""
    assert _row(_load(name)) == row


@pytest.mark.parametrize(
    "devices, resolution, row",
    [
        (1, 32, (32, 4, 0.5, 0.0025, 0.0002 * 32**2 / 32, 10)),
        (1, 256, (16, 4, 0.5, 0.0025, 0.0002 * 256**2 / 16, 5)),
        (1, (64, 96), (32, 4, 0.5, 0.0025, 0.0002 * 96**2 / 32, 10)),
        (1, 1024, (4, 4, 1, 0.002, 0.0002 * 1024**2 / 4, 1.25)),
        (8, 512, (64, 4, 1, 0.0025, 0.0002 * 512**2 / 64, 20)),
        (8, 1024, (32, 4, 1, 0.002, 0.0002 * 1024**2 / 32, 10)),
        (128, 256, (128, 1, 0.5, 0.0025, 0.0002 * 256**2 / 128, 40)),
    ],
)
def test_auto_derives_its_fields_from_resolution_and_devices(devices, resolution, row, monkeypatch):
    """Reference: the configuration auto of the official StyleGAN2-ADA code."""
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    assert _row(_load("stylegan2_auto", resolution)) == (*row, 0.05, 2, 25000, "ada")


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("stylegan2")])
def test_regularizers_and_mixing_are_those_of_stylegan2_but_for_cifar(name):
    """The official configuration cifar has neither path lengths nor mixing."""
    config = _load(name)
    assert config.d_regularizers["r1"]["interval"] == 16
    path_length = {"path_length": {"interval": 4, "batch_shrink": 2, "weight": 2.0, "decay": 0.01}}
    expected = ({}, 0.0, "orig") if name == "stylegan2_cifar10" else (path_length, 0.9, "resnet")
    assert (config.g_regularizers, config.style_mixing_probability, config.network["d_architecture"]) == expected


@pytest.mark.parametrize("name", RECIPES)
def test_header_says_what_the_recipe_is_and_whether_it_was_reproduced(name):
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))
    for word in HEADER:
        assert any(line.startswith(word) for line in text.splitlines()), word
    assert f"python train.py --config configs/{name}.py" in text


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_is_complete_and_its_phases_can_be_built(name):
    config = _load(name)
    assert setup.complete(config) == config
    assert config.data.resolution_px is not None
    built = setup.build(config, (*config.data.resolution_px, config.data.channels))
    names = [phase.name for phase in phases.build(built)]
    lazy = [(field[0], name) for field in ("g_regularizers", "d_regularizers") for name in getattr(config, field)]
    assert set(names) == {"g_main", "d_main", *(f"{network}_{name}" for network, name in lazy)}


@pytest.mark.parametrize("name", RECIPES)
def test_dry_run_needs_neither_data_nor_the_accelerator(name, tmp_path):
    outcome = tiny_runs.train(["--config", str(FOLDER / f"{name}.py"), "--dry-run", "--workdir", str(tmp_path / "run")])
    assert outcome.code == 0, outcome.err
    totals = [int(line.split()[1].replace(",", "")) for line in outcome.out.splitlines() if line.startswith("total")]
    assert len(totals) == 2 and all(totals)
    for word in ("generator", "discriminator", "devices", "batch", "steps", "snapshots"):
        assert any(line.startswith(word) for line in outcome.out.splitlines())
    if name in PUBLISHED_COUNTS:
        assert tuple(totals) == PUBLISHED_COUNTS[name]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "quickstart"])
def test_missing_data_are_named_with_how_to_lay_them_out(name, tmp_path):
    outcome = tiny_runs.train(["--config", str(FOLDER / f"{name}.py"), "--config.data.path=nowhere.zip"])
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err.startswith("error: data.path='nowhere.zip' does not exist")
    assert "dataset.json" in outcome.err or "Sub-folders" in outcome.err
    for word in ("ffhq", "cifar10"):
        if word in name:
            assert word.replace("cifar10", "cifar") in outcome.err.lower().replace("-", "")
            assert "https://" in outcome.err


def test_auto_takes_any_size_from_the_command_line(tmp_path):
    outcome = tiny_runs.train(
        ["--config", str(FOLDER / "stylegan2_auto.py"), "--dry-run", "--config.data.resolution=64x96"]
    )
    assert outcome.code == 0 and "[1, 64, 96, 3]" in outcome.out
