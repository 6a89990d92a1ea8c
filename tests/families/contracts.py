"""What the contract tests run on: the families of flaxgan.networks, their recipes on the digits, and small networks.

Everything is found by listing folders and signatures. A new family's file and recipe are picked up by themselves.
"""

import dataclasses
import functools
import pathlib

import jax
import numpy as np
import tiny_runs

from flaxgan import lookup, networks
from flaxgan.cli import recipes
from flaxgan.config import Config
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding, state, training_setup

FOLDER = pathlib.Path(__file__).parents[2] / "configs"

FAMILIES = tuple(lookup.module_names(networks))

RESOLUTION_PX = 8
BATCH_SIZE = 8
INTERVAL = 2

COLLECTIONS = {"batch_stats", "spectral", "buffers"}
"""The collections of variables beside the parameters that the trainer knows what to do with."""

_WIDTHS = ("channel", "dim", "features", "hidden")
"""Words in the names of the fields of build() that say how wide something is."""


@functools.cache
def tiny_recipes() -> dict[str, Config]:
    """FILE or FILE:VARIANT of every recipe that trains on the digits -> its config."""
    names = [str(path) for path in sorted(FOLDER.glob("*.py"))]
    names += [f"{path}:{name}" for path in sorted(FOLDER.glob("*.py")) for name in recipes.variants(path)]
    configs = {name: load_recipe(name) for name in names}
    return {name: config for name, config in configs.items() if config.data.source == "digits"}


@functools.cache
def tiny_recipe_of_each_file() -> tuple[str, ...]:
    """The first such recipe of each file; others of it are variants of that one."""
    first: dict[str, str] = {}
    for name in sorted(tiny_recipes()):
        first.setdefault(name.partition(":")[0], name)
    return tuple(first.values())


@functools.cache
def recipe_of(family: str) -> str:
    """A tiny recipe of the family, one with classes if there is one."""
    configs = tiny_recipes()
    found = [name for name in tiny_recipe_of_each_file() if configs[name].network["name"] == family]
    if not found:
        raise AssertionError(f"family {family!r}: no recipe in configs/ has a variant that trains it on the digits")
    return max(found, key=lambda name: configs[name].data.num_classes)


def overrides(recipe: str) -> dict[str, object]:
    """Fields that make a tiny recipe smaller still: a few steps of 8 small images, narrow networks.

    A run that grows trains its first stage for 2 steps; each further one fades in over 4 and has 2 more, but for the
    last, at the end of whose fade the run ends.
    """
    config = tiny_recipes()[recipe]
    fields = {"batch_size": BATCH_SIZE}
    if config.g_batch_size is not None:
        fields["g_batch_size"] = BATCH_SIZE * max(1, config.g_batch_size // config.batch_size)
    for field in ("g_regularizers", "d_regularizers"):
        for name, settings in getattr(config, field).items():
            if settings["interval"] is not None:
                fields[f"{field}.{name}.interval"] = INTERVAL
    kimg = BATCH_SIZE * config.d_steps / 1000
    fields |= {"snapshot_kimg": 2 * kimg, "tick_kimg": 2 * kimg, "total_kimg": 4 * kimg, "metrics": ()}
    for name in ("g_optimizer", "d_optimizer"):
        if getattr(config, name).decay_start_kimg:
            fields[f"{name}.decay_start_kimg"] = kimg
    if config.growth.start_px is not None:
        fields |= {"growth.fade_kimg": 4 * kimg, "growth.stabilize_kimg": 2 * kimg, "total_kimg": 6 * kimg}
    return fields | _narrow(config, fields)


def _narrow(config: Config, fields: dict[str, object]) -> dict[str, object]:
    """Fields of the data and the network, each as small as the family takes it."""
    narrow = {}
    wishes = {"data.resolution": (RESOLUTION_PX,)}
    for name, value in config.network.items():
        if type(value) is int and any(word in name for word in _WIDTHS):
            wishes[f"network.{name}"] = (64,) if name == "channel_base" else (8, 16)
    for field, sizes in wishes.items():
        for size in sizes:
            if field != "data.resolution" and _value(config, field) <= size:
                continue
            if _can_be_built(with_fields(config, fields | narrow | {field: size})):
                narrow[field] = size
                break
    return narrow


def _value(config: Config, field: str) -> object:
    part, name = field.split(".")
    found = getattr(config, part)
    return found[name] if isinstance(found, dict) else getattr(found, name)


def _can_be_built(config: Config) -> bool:
    try:
        binding.build(config, image_shape(config)).gan  # noqa: B018
    except ValueError:
        return False
    return True


def with_fields(config: Config, fields: dict[str, object]) -> Config:
    """A config with fields, named as on the command line, replaced."""
    for field, value in fields.items():
        name, *rest = field.split(".")
        config = dataclasses.replace(config, **{name: _replaced(getattr(config, name), rest, value)})
    return config


def _replaced(found, names: list[str], value):
    if not names:
        return value
    name, *rest = names
    if isinstance(found, dict):
        return {**found, name: _replaced(found[name], rest, value)}
    return dataclasses.replace(found, **{name: _replaced(getattr(found, name), rest, value)})


def flags(fields: dict[str, object]) -> list[str]:
    """The same as arguments of train.py."""
    return [f"--config.{name}" + ("" if value == () else f"={value}") for name, value in fields.items()]


def image_shape(config: Config) -> tuple[int, int, int]:
    """(H, W, C) of a config whose resolution is given."""
    return (*config.data.resolution_px, config.data.channels)


@functools.cache
def small(recipe: str) -> Config:
    """A tiny recipe with the fields that make it smaller still."""
    return with_fields(tiny_recipes()[recipe], overrides(recipe))


def family_config(family: str, **data: object) -> Config:
    """The smallest config of a family, with fields of the data replaced."""
    config = small(recipe_of(family))
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))


@functools.cache
def conditional(family: str) -> bool:
    """Whether the family can be built with classes; one that cannot says so by the field's name."""
    return _can_be_built(family_config(family, num_classes=10))


def build(family: str) -> training_setup.TrainingSetup:
    """The family as the trainer sees it, with classes if it takes them, at the last stage."""
    config = family_config(family, num_classes=10 if conditional(family) else 0)
    built = binding.build(config, image_shape(config))
    return built.at(len(built.stages) - 1)


@functools.cache
def disturbed_state(family: str) -> state.TrainState:
    """A train state of `build(family)` whose parameters and running statistics have moved from where they began.

    Initial values will not do for tests: offsets and embeddings are often the same for all classes then.
    """
    built, random = build(family), np.random.default_rng(0)
    with tiny_runs.quick_compilation():
        found = jax.jit(lambda: state.init(built.gan, built.optimizers, seed=0))()
    g, d = (_disturbed_network(network, random) for network in (found.g, found.d))
    return found.replace(g=g, d=d)


def _disturbed_network(network: state.NetworkState, random: np.random.Generator) -> state.NetworkState:
    variables = dict(network.variables)
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(lambda x: np.abs(_disturbed(x, random)), variables["batch_stats"])
    params = jax.tree.map(lambda x: _disturbed(x, random), network.params)
    return network.replace(params=params, variables=variables)


def _disturbed(array: jax.Array, random: np.random.Generator) -> np.ndarray:
    array = np.asarray(array)
    return array + np.float32(0.3 * (array.std() or 1)) * random.normal(size=array.shape).astype(np.float32)
