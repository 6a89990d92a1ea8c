import json

import pytest
import tiny_runs

from flaxgan.cli import recipes

HEADER = '''\
"""A recipe for tests.

Paper:      Nobody et al. 2020, "A Title That
            Takes Two Lines".
Command:    python train.py --config configs/one.py
Data:       none to get.
Hardware:   any.
Published:  FID 1.5 (table 1).
Reproduced: not reproduced by this project.

Some more words. Paper: is not at the beginning of this line.
"""
'''
PLAIN = """
from flaxgan.config import Config

def get_config():
    return Config(network={"name": "stylegan2", "z_dim": 16})
"""
WITH_VARIANTS = """
from flaxgan.config import Config

def get_config(variant=""):
    if variant not in ("", "tiny", "very-small"):
        raise ValueError(f"variant: found {variant!r}, allowed: 'tiny', 'very-small', or none")
    return Config(network={"name": "stylegan2", "z_dim": 16})
"""


def _write(folder, header: str = HEADER, code: str = PLAIN, name: str = "one.py"):
    (folder / name).write_text(header + code)
    return folder / name


def test_a_recipe_is_read_from_its_header_and_its_config(tmp_path):
    found = recipes.read(_write(tmp_path, code=WITH_VARIANTS))
    assert found.summary == "A recipe for tests."
    assert found.header["Paper"] == 'Nobody et al. 2020, "A Title That Takes Two Lines".'
    assert found.header["Published"] == "FID 1.5 (table 1)."
    assert found.config.network["z_dim"] == 16 and found.config.network["mapping_layers"] == 8
    assert found.variants == ("tiny", "very-small")
    assert found.reproduced is False
    assert recipes.read(_write(tmp_path, name="one.py")).variants == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("not reproduced.", False), ("Nothing to reproduce", None), ("reproduced: FID 1.6 after 3 days", True)],
)
def test_reproduced_or_not(tmp_path, text, expected):
    path = _write(tmp_path, HEADER.replace("not reproduced by this project.", text))
    assert recipes.read(path).reproduced is expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (HEADER, "", "header: found no fields, allowed: lines that begin Paper:, Command:, Data:"),
        ("Data:  ", "Date:  ", "header: found Paper, Command, Hardware, Published, Reproduced, allowed: "),
        ("Hardware:", "Data:", "header: found Paper, Command, Data, Data, Published, Reproduced, allowed: "),
        ("FID 1.5 (table 1).", "", "header: found nothing after Published:, allowed: some words"),
        ("configs/one.py", "configs/two.py", r"header: Command: found .*two.py.*, allowed: .*one.py"),
        ("not reproduced", "maybe reproduced", "Reproduced: found 'maybe reproduced by this project.', allowed: "),
        (HEADER, "def:", "is not a Python file"),
    ],
)
def test_a_malformed_header_is_refused_by_file_name(tmp_path, old, new, message):
    _write(tmp_path, name="good.py", header=HEADER.replace("one.py", "good.py"))
    path = _write(tmp_path, HEADER.replace(old, new))
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        recipes.read_all(tmp_path)
    outcome = tiny_runs.flaxgan("recipes", tmp_path)
    assert outcome.code == 1 and outcome.err.startswith(f"error: {path}: ") and outcome.out == ""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (PLAIN.replace("()", "(variant='')", 1), "found that it takes any variant, allowed: to refuse unknown ones"),
        (
            WITH_VARIANTS.replace("'tiny', 'very-small'", "few"),
            "get_config.*: found .*, allowed: an error that lists the variants",
        ),
        (PLAIN.replace('"z_dim"', '"zdim"'), "config.network: found unknown field 'zdim'"),
        ("", "without get_config"),
    ],
)
def test_a_get_config_that_does_not_work_is_refused_by_file_name(tmp_path, code, message):
    path = _write(tmp_path, code=code)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        recipes.read(path)


def test_lines_and_json_say_the_same(tmp_path):
    _write(tmp_path, code=WITH_VARIANTS)
    _write(tmp_path, HEADER.replace("one.py", "two.py").replace("not reproduced by", "reproduced by"), name="two.py")
    first, second = json.loads(tiny_runs.flaxgan("recipes", tmp_path, "--json").out)
    assert (first["recipe"], first["family"]) == (str(tmp_path / "one.py"), "stylegan2")
    assert (first["variants"], first["reproduced"]) == (["tiny", "very-small"], False)
    assert (second["variants"], second["reproduced"]) == ([], True)
    assert first["published"] == "FID 1.5 (table 1)." and first["paper"].startswith("Nobody et al. 2020")
    lines = tiny_runs.flaxgan("recipes", tmp_path).out.splitlines()
    assert lines[0] == f"{tmp_path / 'one.py'}: A recipe for tests."
    assert lines[1:4] == ["  family     stylegan2", "  variants   tiny, very-small", f"  paper      {first['paper']}"]
    assert lines[4:6] == ["  published  FID 1.5 (table 1).", "  reproduced not reproduced by this project."]
    assert lines[-1].startswith("2 recipes; ")


def test_a_folder_without_recipes_is_refused(tmp_path):
    outcome = tiny_runs.flaxgan("recipes", tmp_path / "none")
    assert outcome.code == 1 and outcome.err.startswith(
        f"error: FOLDER: found {tmp_path / 'none'} without recipes, allowed: "
    )


def test_recipes_are_those_that_come_with_flaxgan_unless_a_folder_is_given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outcome = tiny_runs.flaxgan("recipes", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert [facts["recipe"] for facts in found] == [
        path.stem for path in sorted((tiny_runs.ROOT / "configs").glob("*.py"))
    ]
    commands = {facts["recipe"]: facts["command"] for facts in found}
    assert commands["quickstart"] == "flaxgan train --config quickstart"
    assert commands["dcgan_celeba64"] == "flaxgan train --config dcgan_celeba64 --config.data.path=celeba64.zip"


def test_the_command_of_a_recipe_in_a_folder_has_its_path(tmp_path):
    path = _write(tmp_path)
    assert f"  train      flaxgan train --config {path}\n" in tiny_runs.flaxgan("recipes", tmp_path).out
