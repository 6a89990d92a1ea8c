"""The pages that compare recipes with their sources: each row agrees with the recipe, and no setting is left out."""

import dataclasses
import functools
import inspect
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
import tiny_runs

from flaxgan import lookup, networks
from flaxgan.config import Config
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding, stage_plan

CONFIGS = tiny_runs.ROOT / "configs"
PAGES = tiny_runs.ROOT / "docs" / "settings"

OWN = {"quickstart"}
"""Recipes whose settings are this project's own."""

VARIANTS_WITHOUT_SOURCE = ("tiny", "tiny_plain", "tiny_selfmod")

WITHOUT_SOURCE = ("network.name", "data.source", "data.path", "data.hint", "accelerator")
"""Fields that no source has: the family of a page, where the images lie, the devices."""

ALWAYS = (
    "loss",
    "batch_size",
    "g_batch_size",
    "d_steps",
    "update_order",
    "d_passes",
    "total_kimg",
    "latent.prior",
    "data.resolution",
    "data.mirror",
    "network.z_dim",
    "network.dtype",
    *(f"{network}_optimizer.{field}" for network in "gd" for field in ("name", "learning_rate", "b1", "b2", "eps")),
)
"""Fields that are compared even where a recipe leaves them at their defaults."""


class Row(NamedTuple):
    """A row of a table: the setting, its values here and in the source, the place in the source, and a remark."""

    setting: str
    here: str
    source: str
    where: str
    remark: str


def load(found: str) -> Config:
    """Loads a recipe, NAME or NAME:VARIANT, with all defaults written out."""
    name, colon, variant = found.partition(":")
    return binding.complete(load_recipe(f"{CONFIGS / name}.py{colon}{variant}"))


def shown(setting: object) -> str:
    """Returns a value as the pages write it."""
    return re.sub(r"e-0(\d)", r"e-\1", setting if isinstance(setting, str) else repr(setting))


def value(config: Config, setting: str) -> object:
    """Returns the value of a field, or of one of DERIVED."""
    return DERIVED[setting](config) if setting in DERIVED else flat(config)[setting]


def flat(config: Config) -> dict[str, object]:
    """Returns the values of all fields by their dotted names."""
    values: dict[str, object] = {}

    def add(prefix: str, tree: dict) -> None:
        for key, item in tree.items():
            if isinstance(item, dict):
                add(f"{prefix}{key}.", item)
            else:
                values[f"{prefix}{key}"] = item

    add("", dataclasses.asdict(config))
    return values


def pages() -> dict[str, dict[str, list[Row]]]:
    """Returns recipe -> variant ("" for none) -> rows."""
    found = {}
    for path in sorted(PAGES.glob("*.md")):
        first, *others = re.split(r"^### Variant `(\w+)`$", path.read_text(), flags=re.MULTILINE)
        variants = {"": first, **dict(zip(others[::2], others[1::2]))}
        found[path.stem] = {variant: _rows(text) for variant, text in variants.items()}
    return found


def _rows(text: str) -> list[Row]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    assert rows[0] == ["setting", "here", "source", "where", "remark"] and set(rows[1]) == {"---"}
    return [Row(*cells) for cells in rows[2:]]


def _steps_of_g(config: Config) -> int:
    gan = binding.build_gan(config, (*config.data.resolution_px, config.data.channels))
    return stage_plan.total_steps(stage_plan.stages(config, gan))


def _has_last_bias(config: Config) -> str:
    gan = binding.build_gan(config, (*config.data.resolution_px, config.data.channels))
    images, labels = jnp.zeros((2, *gan.image_shape)), jnp.zeros(2, int)
    params = jax.eval_shape(gan.discriminator.init, jax.random.key(0), images, labels)["params"]
    return "yes" if "bias" in params["head"]["linear"] else "no"


DERIVED = {"steps of G": _steps_of_g, "bias of D's last layer": _has_last_bias}
"""Settings without a field of their own, by the words of their rows."""


@functools.cache
def _defaults(family: str) -> dict[str, object]:
    parameters = inspect.signature(lookup.module(networks, family).build).parameters
    network = {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
    return flat(Config(network={"name": family, **network}))


ALL = pages()
TABLES = [(name, variant) for name, variants in ALL.items() for variant in variants]


def test_every_recipe_is_compared_with_its_sources():
    recipes = {path.stem for path in CONFIGS.glob("*.py")}
    assert set(ALL) == recipes - OWN
    for name, variants in ALL.items():
        others = {variant for variant in _variants(name) if variant not in VARIANTS_WITHOUT_SOURCE}
        assert set(variants) == {"", *others}


def _variants(name: str) -> tuple[str, ...]:
    text = (CONFIGS / f"{name}.py").read_text()
    return tuple(re.findall(r'"(\w+)"', found.group(1))) if (found := re.search(r"VARIANTS = \((.*)\)", text)) else ()


@pytest.mark.parametrize(("name", "variant"), TABLES)
def test_rows_agree_with_the_recipe(name, variant):
    config = load(f"{name}{':' * bool(variant)}{variant}")
    for row in ALL[name][variant]:
        field = re.fullmatch(r"`(.*)`", row.setting)
        if field or row.setting in DERIVED:
            found = value(config, field[1] if field else row.setting)
            assert row.here == f"`{shown(found)}`", f"{row.setting}: compare it with {row.where} again"


@pytest.mark.parametrize(("name", "variant"), TABLES)
def test_rows_say_where_and_why(name, variant):
    """Values that differ in words have a remark; places are those of the sources that the page lists."""
    sources = set(re.findall(r"^\* \*\*(\w+)\*\*: .+\.$", (PAGES / f"{name}.md").read_text(), re.MULTILINE))
    settings = [row.setting for row in ALL[name][variant]]
    assert len(settings) == len(set(settings))
    for row in ALL[name][variant]:
        assert row.here and row.source and row.where, row
        assert row.remark or row.source == row.here, f"{row.setting}: a remark says why, or that it is the same"
        named = re.findall(r"(?:^|; )(\w+): ", row.where)
        assert named and set(named) <= sources, row


@pytest.mark.parametrize("name", ALL)
def test_no_setting_is_left_out(name):
    config = load(name)
    values, defaults = flat(config), _defaults(config.network["name"])
    changed = {field for field in values if field not in defaults or values[field] != defaults[field]}
    averaged = "ema.decay" if config.ema.decay is not None else "ema.half_life_kimg"
    compared = {row.setting.strip("`") for row in ALL[name][""]}
    assert {*changed, *ALWAYS, averaged} - {*WITHOUT_SOURCE} - compared == set()


@pytest.mark.parametrize(("name", "variant"), [(name, variant) for name, variant in TABLES if variant])
def test_no_change_of_a_variant_is_left_out(name, variant):
    values, main = (flat(load(found)) for found in (f"{name}:{variant}", name))
    family = values["network.name"]
    changed = {
        field
        for field, item in values.items()
        if item != main.get(field, _defaults(family).get(field)) and field not in WITHOUT_SOURCE
    }
    assert changed - {row.setting.strip("`") for row in ALL[name][variant]} == set()
