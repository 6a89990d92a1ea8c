import pathlib

import pytest
import tiny_runs

from flaxgan.config import differences
from flaxgan.train.recipes import flags

TINY = f"{tiny_runs.RECIPE}:rgb"
AUTO = str(tiny_runs.ROOT / "configs" / "stylegan2_auto.py")


def _config(*overrides: str, recipe: str = TINY):
    return flags.parse(["--config", recipe, *overrides]).config


@pytest.mark.parametrize(
    "arguments, field, value",
    [
        (["--config.batch_size=16"], "batch_size", 16),
        (["--config.batch_size", "16"], "batch_size", 16),
        (["--config.total_kimg=3"], "total_kimg", 3.0),
        (["--config.g_optimizer.learning_rate=1e-4"], "g_optimizer.learning_rate", 1e-4),
        (["--config.loss=hinge"], "loss", "hinge"),
        (["--config.data.mirror=True"], "data.mirror", True),
        (["--config.data.mirror", "False"], "data.mirror", False),
        (["--config.ema.rampup=None"], "ema.rampup", None),
        (["--config.augment.p_max=0.8"], "augment.p_max", 0.8),
        (["--config.augment.policy=ada"], "augment.policy", "ada"),
        (["--config.data.resolution=64"], "data.resolution", 64),
        (["--config.data.resolution=64x96"], "data.resolution", (64, 96)),
        (["--config.data.resolution", "64x96"], "data.resolution", (64, 96)),
        (["--config.data.resolution", "64", "96"], "data.resolution", (64, 96)),
        (["--config.data.resolution=None"], "data.resolution", None),
        (["--config.network.z_dim=4"], "network.z_dim", 4),
        (["--config.network.resample_filter=1,2,1"], "network.resample_filter", (1.0, 2.0, 1.0)),
        (["--config.network.resample_filter", "1", "1"], "network.resample_filter", (1.0, 1.0)),
        (["--config.network.mbstd_group_size=None"], "network.mbstd_group_size", None),
        (["--config.network.conv_clamp=256"], "network.conv_clamp", 256.0),
        (["--config.network.use_noise=False"], "network.use_noise", False),
        (["--config.d_regularizers.r1.gamma=0.5"], "d_regularizers.r1.gamma", 0.5),
        (["--config.g_regularizers.path_length.interval=8"], "g_regularizers.path_length.interval", 8),
        (["--config.metrics=class_quality"], "metrics", ("class_quality",)),
        (["--config.metrics"], "metrics", ()),
        (["--config.data.path=64x64"], "data.path", "64x64"),
        (["--config.data.path", "1,2"], "data.path", "1,2"),
        (["--config.data.path=a=b"], "data.path", "a=b"),
        (["--config.data.path="], "data.path", ""),
        (["--config.seed=1", "--config.seed=2"], "seed", 2),
    ],
)
def test_override(arguments, field, value):
    plain, found = _config(), _config(*arguments)
    assert _value(found, field) == value and type(_value(found, field)) is type(value)
    # Nothing else has changed.
    assert set(differences(plain, found)) <= {field}


def _value(config, field: str):
    for name in field.split("."):
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


def test_overridden_config_is_checked():
    with pytest.raises(ValueError, match="config.batch_size: found 0, allowed: at least 1"):
        _config("--config.batch_size=0")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--config.batch_siz=16"], ["--config.batch_siz", "Perhaps you meant", "--config.batch_size"]),
        (["--config.network.zdim=16"], ["--config.network.zdim", "Perhaps you meant", "--config.network.z_dim"]),
        (["--config.d_regularizers.r1.gama=1"], ["Perhaps you meant", "--config.d_regularizers.r1.gamma"]),
        (["--config.batch_size=many"], ["--config.batch_size", "many"]),
        (["--config.batch_size=0x10"], ["--config.batch_size", "0x10"]),
        (["--config.network.w_dim=8,8"], ["--config.network.w_dim", "8,8"]),
        (["--config.batch_size"], ["--config.batch_size", "Missing"]),
        (["--config.augment.policy=sometimes"], ["sometimes", "--config.augment.policy", "off", "fixed", "ada"]),
        (["--config.data.mirror=perhaps"], ["perhaps", "True", "False"]),
        (["--config.data.resolution=1x2x3"], ["--config.data.resolution"]),
        (["--config.data.num_threads=0"], ["config.data.num_threads: found 0, allowed"]),
        (["stray"], ["stray"]),
        (["--work=runs/a"], ["--work"]),
        (["--dry-run=quick"], ["--dry-run", "quick", "table", "compile"]),
    ],
)
def test_what_cannot_be_parsed_ends_with_code_2_and_a_suggestion(arguments, words, capsys):
    with pytest.raises(SystemExit) as exit:
        _config(*arguments)
    assert exit.value.code == 2
    printed = " ".join("".join(capsys.readouterr()).split())
    for word in words:
        assert word in printed


def test_command_has_the_folder_of_the_recipe_unless_it_names_one():
    assert flags.parse(["--config", TINY]).workdir == pathlib.Path("runs/tiny_recipe-rgb")
    assert flags.parse(["--config", TINY, "--workdir", "a/b"]).workdir == pathlib.Path("a/b")
    assert flags.parse(["--workdir=a/b", f"--config={TINY}"]).workdir == pathlib.Path("a/b")


def test_dry_run_is_off_a_table_or_with_compilation():
    for arguments, kind in (([], None), (["--dry-run"], "table"), (["--dry-run=compile"], "compile")):
        assert flags.parse(["--config", TINY, *arguments, "--config.seed=1"]).dry_run == kind


def test_a_recipe_derives_its_fields_from_the_resolution_asked_for():
    small, large = _config(recipe=AUTO), _config("--config.data.resolution=1024", recipe=AUTO)
    assert small.data.resolution == 256 and small.network["channel_base"] == 16384
    assert large.data.resolution == 1024 and large.network["channel_base"] == 32768
    rectangle = _config("--config.data.resolution", "64x96", "--config.batch_size=8", recipe=AUTO)
    assert rectangle.data.resolution == (64, 96) and rectangle.batch_size == 8


def test_a_recipe_is_asked_for():
    with pytest.raises(
        ValueError, match="--config: found nothing, allowed: the name of a recipe .*configs/quickstart.py"
    ):
        flags.parse(["--workdir", "a"])


def test_help_shows_the_command_and_with_a_recipe_every_field(capsys):
    with pytest.raises(SystemExit) as exit:
        flags.parse(["--help"])
    general = capsys.readouterr().out
    assert exit.value.code == 0 and "--workdir" in general and "--dry-run" in general
    with pytest.raises(SystemExit) as exit:
        flags.parse(["--config", TINY, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert exit.value.code == 0 and "--workdir" in printed
    for text in (
        "--config.batch_size INT",
        "Images per step, over all devices and hosts. (default: 8)",
        "--config.data.resolution",
        "width of the latent z. (default: 8)",
        "--config.g_regularizers.path_length.batch_shrink INT",
        "weight of the penalty. (default: 0.1)",
        "steps between two optimizer steps of its own",
    ):
        assert text in printed


def test_names_are_not_abbreviated():
    with pytest.raises(ValueError, match="--config: found nothing"):
        flags.parse([f"--conf={TINY}"])


def test_a_value_of_a_wrong_type_in_a_recipe_is_refused_by_name_alone(tmp_path, recwarn):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from flaxgan.config import Config\n"
        'def get_config(): return Config(network={"name": "stylegan2", "z_dim": "8"})\n'
    )
    config = flags.parse(["--config", str(recipe)]).config
    assert config.network["z_dim"] == "8" and not recwarn.list  # What it may be is for the network to say.


def test_a_step_of_too_many_digits_is_refused():
    with pytest.raises(ValueError, match="--resume: found '9999"):
        flags.parse(["--config", TINY, "--resume", "9" * 5000])
