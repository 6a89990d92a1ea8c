"""Every recipe in configs/ and every variant of it is found by listing the folder, so that none can be forgotten."""

import json

import jax
import pytest
import tiny_runs

from flaxgan import lookup, networks
from flaxgan.cli import recipes
from flaxgan.config import Config, to_json
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding, phases

FOLDER = tiny_runs.ROOT / "configs"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.py"))]


def _variants(name: str) -> tuple[str, ...]:
    """None of a recipe that is not in order, so that the tests of the others can be collected."""
    try:
        return recipes.variants(FOLDER / f"{name}.py")
    except ValueError:
        return ()


ALL = [found for name in NAMES for found in (name, *(f"{name}:{variant}" for variant in _variants(name)))]
"""NAME and NAME:VARIANT."""

# Parameters (generator, discriminator) of the reference code's modules of the same configuration; of O-GAN, which gives
# none, counted from its code.
PUBLISHED_COUNTS = {
    "biggan_imagenet128": (70_433_988, 87_982_370),
    "dcgan_celeba64": (3_576_704, 2_765_568),
    "ogan_celeba128": (19_531_267, 19_515_904),
    "pggan_celebahq1024": (23_079_115, 23_087_249),
    "sngan_cifar10": (4_276_739, 1_053_825),
    "stylegan_ffhq1024": (26_219_627, 23_087_249),
    "stylegan2_ffhq": (30_370_060, 29_012_513),
    "stylegan2_ffhq256": (24_767_458, 24_001_089),
    "stylegan2_cifar10": (20_215_315, 23_089_664),
}

# What the papers and their code say, by field of the config.
PUBLISHED_SETTINGS = {
    "biggan_imagenet128": {
        "data.resolution": 128,
        "data.num_classes": 1000,
        "loss": "hinge",
        "network.z_dim": 120,
        "g_optimizer.b1": 0.0,
        "g_optimizer.b2": 0.999,
        "d_optimizer.b2": 0.999,
        "ema.decay": 0.9999,
    },
    "dcgan_celeba64": {
        "data.resolution": 64,
        "batch_size": 128,
        "network.z_dim": 100,
        "g_optimizer.name": "adam",
        "g_optimizer.learning_rate": 0.0002,
        "g_optimizer.b1": 0.5,
        "d_optimizer.learning_rate": 0.0002,
        "d_optimizer.b1": 0.5,
        "d_optimizer.b2": 0.999,
    },
    "ogan_celeba128": {
        "data.resolution": 128,
        "batch_size": 64,
        "network.z_dim": 128,
        "loss": "wasserstein",
        "update_order": "joint",
        "g_optimizer.name": "rmsprop",
        "g_optimizer.learning_rate": 0.0001,
        "g_optimizer.b2": 0.99,
        "d_optimizer.name": "rmsprop",
        "d_optimizer.learning_rate": 0.0001,
        "d_optimizer.b2": 0.99,
        "g_regularizers.latent_correlation.weight": 0.5,
        "d_regularizers.latent_correlation.weight": 0.5,
        "d_regularizers.quadratic_potential.weight": 0.25,
    },
    "pggan_celebahq1024": {
        "data.resolution": 1024,
        "loss": "wasserstein",
        "d_regularizers.gradient_penalty.weight": 10.0,
        "d_regularizers.drift.weight": 0.001,
        "g_optimizer.learning_rate": 0.001,
        "g_optimizer.b1": 0.0,
        "g_optimizer.b2": 0.99,
        "growth.start_px": 4,
        "growth.fade_kimg": 600,
        "growth.stabilize_kimg": 600,
        "ema.decay": 0.999,
    },
    "sagan_imagenet128": {
        "data.resolution": 128,
        "data.num_classes": 1000,
        "batch_size": 256,
        "loss": "hinge",
        "g_optimizer.learning_rate": 0.0001,
        "g_optimizer.b1": 0.0,
        "g_optimizer.b2": 0.9,
        "d_optimizer.learning_rate": 0.0004,
        "d_optimizer.b2": 0.9,
    },
    "sngan_cifar10": {
        "data.resolution": 32,
        "batch_size": 64,
        "g_batch_size": 128,
        "d_steps": 5,
        "loss": "hinge",
        "g_optimizer.learning_rate": 0.0002,
        "g_optimizer.b1": 0.0,
        "g_optimizer.b2": 0.9,
        "d_optimizer.learning_rate": 0.0002,
        "d_optimizer.b2": 0.9,
    },
    "sngan_projection_imagenet128": {
        "data.resolution": 128,
        "data.num_classes": 1000,
        "d_steps": 5,
        "loss": "hinge",
        "d_optimizer.learning_rate": 0.0002,
        "d_optimizer.b1": 0.0,
        "d_optimizer.b2": 0.9,
    },
    "stylegan_ffhq1024": {
        "data.resolution": 1024,
        "loss": "non_saturating",
        "d_regularizers.r1.gamma": 10.0,
        "style_mixing_probability": 0.9,
        "growth.start_px": 8,
        "ema.half_life_kimg": 10.0,
        "g_optimizer.b1": 0.0,
        "g_optimizer.b2": 0.99,
    },
}


def _path(found: str) -> str:
    name, colon, variant = found.partition(":")
    return f"{FOLDER / name}.py{colon}{variant}"


def _load(found: str, resolution=None) -> Config:
    return load_recipe(_path(found), resolution)


def _reads_files(name: str) -> bool:
    try:
        return _load(name).data.source in ("folder", "zip")
    except ValueError:
        return True


def _dry_run(found: str, *overrides: str) -> tiny_runs.Outcome:
    return tiny_runs.train(["--config", _path(found), "--dry-run", *overrides])


def _value(config: Config, field: str):
    """The value of a field with dots in its name."""
    value = json.loads(to_json(config))
    for part in field.split("."):
        value = value[part]
    return value


def _stylegan2_row(config: Config) -> tuple:
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


@pytest.mark.parametrize("name", NAMES)
def test_header_is_in_order(name):
    """It says what the recipe is and whether it was reproduced; variants are those that it names when asked."""
    found = recipes.read(FOLDER / f"{name}.py")
    assert f"--config configs/{name}.py" in found.header["Command"]
    text = (FOLDER / f"{name}.py").read_text()
    assert all(f"`{variant}`" in text for variant in found.variants)


@pytest.mark.parametrize("found", ALL)
def test_recipe_is_complete_and_its_phases_can_be_built(found):
    config = _load(found)
    assert binding.complete(config) == config
    assert config.data.resolution_px is not None
    built = binding.build(config, (*config.data.resolution_px, config.data.channels))
    lazy = {
        f"{network}_{name}"
        for network in "gd"
        for name, settings in getattr(config, f"{network}_regularizers").items()
        if settings["interval"] is not None
    }
    main = {"joint"} if config.update_order == "joint" else {"g_main", "d_main"}
    assert {phase.name for phase in phases.build(built)} == main | lazy


@pytest.mark.parametrize("found", ALL)
def test_dry_run_needs_neither_data_nor_the_accelerator(found, tmp_path):
    outcome = _dry_run(found, "--workdir", str(tmp_path / "run"))
    assert outcome.code == 0, outcome.err
    totals = [int(line.split()[1].replace(",", "")) for line in outcome.out.splitlines() if line.startswith("total")]
    assert len(totals) == 2 and all(totals)
    for word in ("generator", "discriminator", "devices", "batch", "steps", "snapshots"):
        assert any(line.startswith(word) for line in outcome.out.splitlines())
    if found in PUBLISHED_COUNTS:
        assert tuple(totals) == PUBLISHED_COUNTS[found]
    assert not (tmp_path / "run").exists()


def test_published_numbers_are_those_of_recipes_that_exist():
    assert {*PUBLISHED_COUNTS, *PUBLISHED_SETTINGS} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in PUBLISHED_SETTINGS if name in NAMES])
def test_recipe_has_the_published_settings(name):
    config = _load(name)
    settings = {**PUBLISHED_SETTINGS[name]}
    if "data.resolution" in settings:
        assert config.data.resolution_px == (settings.pop("data.resolution"),) * 2
    assert {field: _value(config, field) for field in settings} == settings


@pytest.mark.parametrize(
    "name, row",
    [
        ("stylegan2_ffhq", (32, 4, 1, 0.002, 10, 10, None, 8, 25000, "off")),
        ("stylegan2_ffhq256", (64, 8, 0.5, 0.0025, 1, 20, None, 8, 25000, "off")),
        ("stylegan2_cifar10", (64, 32, 1, 0.0025, 0.01, 500, 0.05, 2, 100000, "ada")),
    ],
)
def test_stylegan2_recipe_has_the_values_of_the_published_configuration(name, row):
    """Reference: the official StyleGAN2-ADA code's configurations stylegan2, paper256 and cifar."""
    assert _stylegan2_row(_load(name)) == row


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
    assert _stylegan2_row(_load("stylegan2_auto", resolution)) == (*row, 0.05, 2, 25000, "ada")


@pytest.mark.parametrize("found", ALL)
def test_reduced_precision_of_stylegan2_is_clamped_as_in_the_official_code(found):
    """Its num_fp16_res is 4 and its conv_clamp 256 in all configurations; float32 has no clamp."""
    network = _load(found).network
    if network["name"] == "stylegan2":
        reduced = network["dtype"] != "float32"
        expected = (4, 256) if reduced else (network["low_precision_resolutions"], None)
        assert (network["low_precision_resolutions"], network["conv_clamp"]) == expected
        assert reduced == (found not in ("stylegan2_ffhq", "quickstart"))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("stylegan2")])
def test_regularizers_and_mixing_are_those_of_stylegan2_but_for_cifar(name):
    """The official configuration cifar has neither path lengths nor mixing."""
    config = _load(name)
    assert config.d_regularizers["r1"]["interval"] == 16
    path_length = {"path_length": {"interval": 4, "batch_shrink": 2, "weight": 2.0, "decay": 0.01}}
    expected = ({}, 0.0, "orig") if name == "stylegan2_cifar10" else (path_length, 0.9, "resnet")
    assert (config.g_regularizers, config.style_mixing_probability, config.network["d_architecture"]) == expected


def test_every_family_has_a_recipe_that_needs_no_files():
    """On the digits or another set that ships with a dependency: what tests and benchmarks train."""
    ready = {config.network["name"] for config in map(_load, ALL) if not config.data.path and not config.data.hint}
    assert ready == set(lookup.module_names(networks))


@pytest.mark.parametrize("found", [found for found in ALL if found.endswith(":tiny")])
def test_tiny_variant_is_as_its_recipe(found):
    """Same family, losses and kinds of optimizers; other numbers."""

    def kinds(config: Config) -> tuple:
        regularizers = set(config.g_regularizers), set(config.d_regularizers)
        optimizers = config.g_optimizer.name, config.d_optimizer.name
        return config.network["name"], config.loss, config.update_order, optimizers, regularizers

    tiny, whole = _load(found), _load(found.partition(":")[0])
    assert kinds(tiny) == kinds(whole)
    assert bool(tiny.growth.start_px) == bool(whole.growth.start_px)


@pytest.mark.parametrize("found", [found for found in ALL if ":tiny" in found])
def test_tiny_variants_need_no_files_and_minutes_only(found):
    tiny = _load(found)
    assert max(tiny.data.resolution_px) <= 32 and tiny.total_kimg <= 1000
    assert tiny.accelerator == "any" and not tiny.data.path


@pytest.mark.parametrize("name", [name for name in NAMES if _reads_files(name)])
def test_missing_data_are_named_with_how_to_lay_them_out(name):
    data = _load(name).data
    outcome = tiny_runs.train(["--config", _path(name), "--config.data.path=nowhere.zip"])
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err.startswith("error: config.data.path: found 'nowhere.zip', which does not exist")
    assert "dataset.json" in outcome.err or "Sub-folders" in outcome.err
    assert data.hint in outcome.err
    if data.hint:
        assert "https://" in data.hint and "--config.data.path=" in data.hint


def test_recipes_of_data_that_must_be_fetched_say_how():
    """All but the one that is for any set of images."""
    assert [name for name in NAMES if _load(name).data.path and not _load(name).data.hint] == ["stylegan2_auto"]


def test_auto_takes_any_size_from_the_command_line():
    outcome = _dry_run("stylegan2_auto", "--config.data.resolution=64x96")
    assert outcome.code == 0 and "[1, 64, 96, 3]" in outcome.out
