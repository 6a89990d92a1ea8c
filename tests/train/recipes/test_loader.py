import pytest
import tiny_runs

from flaxgan.train.recipes.loader import load_recipe, recipe_name

GOOD = """
from flaxgan.config import Config
def get_config():
    return Config(network={"name": "stylegan2", "z_dim": 4}, d_regularizers={"r1": {"gamma": 3.0}})
"""


def _recipe(tmp_path, text: str) -> str:
    path = tmp_path / "recipe.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "recipe, name",
    [("configs/a.py", "a"), ("a.py:big", "a-big"), ("/x/y.z/a_b.py", "a_b"), ("C:/a.py:v:1", "a-v:1")],
)
def test_name_is_the_file_and_the_variant(recipe, name):
    assert recipe_name(recipe) == name


def test_recipe_is_completed_with_the_defaults_of_the_code_that_it_names(tmp_path):
    config = load_recipe(_recipe(tmp_path, GOOD))
    assert config.network["z_dim"] == 4 and config.network["w_dim"] == 512
    assert config.d_regularizers == {"r1": {"interval": None, "gamma": 3.0}}


def test_variant_is_what_get_config_is_called_with():
    assert load_recipe(f"{tiny_runs.RECIPE}:grey").data.source == "digits"
    assert load_recipe(str(tiny_runs.RECIPE)).data.source == "folder"


def test_resolution_goes_to_recipes_that_take_it(tmp_path):
    text = GOOD.replace("def get_config():", "def get_config(resolution=16):").replace(
        '"z_dim": 4', '"z_dim": resolution'
    )
    assert load_recipe(_recipe(tmp_path, text), 64).network["z_dim"] == 64
    assert load_recipe(_recipe(tmp_path, text)).network["z_dim"] == 16
    assert load_recipe(_recipe(tmp_path, GOOD), 64).network["z_dim"] == 4


@pytest.mark.parametrize(
    "text, message",
    [
        ("def get_config(:", r"recipe.py: SyntaxError"),
        ("import nothing_of_that_name", r"recipe.py: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("undefined", r"recipe.py: NameError"),
        ("import sys; sys.exit()", r"recipe.py: SystemExit: "),
        ("def get_config(): exit('later')", r"recipe.py: SystemExit: later"),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", r"recipe.py: E: E"),
        ("get_config = 5", r"recipe.py without get_config\(\), allowed: a recipe file that defines it"),
        ("get_config = dict", r"found get_config = <class 'dict'> in .*recipe.py, allowed: a function"),
        ("config = 1", r"recipe.py without get_config\(\), allowed: a recipe file that defines it"),
        (
            "def get_config(): return {}",
            r"get_config\(\) of .*recipe.py, which returned dict, allowed: one that returns a Config",
        ),
        (GOOD.replace("z_dim", "zdim"), r"config.network: found unknown field 'zdim', allowed: activation, "),
        (GOOD.replace("stylegan2", "stylegan9"), r"config.network.name: found 'stylegan9', allowed: .*stylegan2"),
        (GOOD.replace("d_reg", "dreg"), r"recipe.py: TypeError: .*unexpected keyword argument 'dregularizers'"),
        (GOOD.replace("r1", "r9"), r"config.d_regularizers: found 'r9', allowed: .*r1"),
        (GOOD.replace("d_reg", "g_reg"), r"config.g_regularizers: found 'r1', allowed: a regularizer of this network"),
        (
            GOOD.replace("gamma", "gama"),
            r"config.d_regularizers.r1: found unknown field 'gama', allowed: gamma, int",
        ),
        (
            GOOD.replace('"gamma": 3.0', '"interval": 0'),
            r"config.d_regularizers.r1.interval: found 0, allowed: a whole",
        ),
    ],
)
def test_mistakes_in_a_recipe_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(_recipe(tmp_path, text))


def test_missing_recipe_is_refused_with_those_beside_it(tmp_path):
    _recipe(tmp_path, GOOD)
    with pytest.raises(ValueError, match=r"other.py, which does not exist, allowed: a recipe file \(.*recipe.py\)"):
        load_recipe(str(tmp_path / "other.py"))
    with pytest.raises(ValueError, match=r"does not exist.*no recipe in that folder"):
        load_recipe(str(tmp_path / "nowhere" / "other.py"))
    with pytest.raises(ValueError, match=r"--config: .*, which is not a file, allowed: a recipe file"):
        load_recipe(str(tmp_path))


def test_unknown_variant_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"found variant 'big' of .*recipe.py, allowed: .*recipe.py, which has no variants"
    ):
        load_recipe(_recipe(tmp_path, GOOD) + ":big")
    with pytest.raises(ValueError, match=r"tiny_recipe.py: KeyError: 'huge'"):
        load_recipe(f"{tiny_runs.RECIPE}:huge")


def test_a_file_that_is_no_python_is_refused(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="found .*recipe.json, allowed: a Python file"):
        load_recipe(str(path))
