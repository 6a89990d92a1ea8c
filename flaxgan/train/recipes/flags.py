"""The training command's line: a recipe, and overrides of its fields."""

import argparse
import dataclasses
import inspect
import pathlib
import re
import warnings
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import docstring_parser
import tyro

from flaxgan import lookup, networks
from flaxgan.config import Config
from flaxgan.losses import adversarial, regularizers
from flaxgan.train.distributed.multihost import Cluster
from flaxgan.train.recipes import options
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding

TRAINER_SETTINGS_TYPES = {
    "interval": (int | None, "steps between two optimizer steps of its own; None adds it to the main loss"),
    "batch_shrink": (int, "it sees the first 1/batch_shrink of the images"),
}
"""Type and description of the settings of a regularizer that the trainer reads."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A parsed command line.

    Attributes:
      config: the completed config.
      workdir: the run folder.
      dry_run: None, "table" or "compile".
      resume: the step of the checkpoint to continue from, or None for the latest.
    """

    config: Config
    workdir: pathlib.Path
    dry_run: str | None
    resume: int | None = None


def cluster(arguments: list[str]) -> Cluster:
    """Returns the processes that a command line names.

    They are parsed before the rest, because a recipe may ask JAX for its devices.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_cluster(parser)
    known, _ = parser.parse_known_args(arguments)
    return Cluster(known.coordinator, known.num_processes, known.process_id)


def parse(arguments: list[str], *, program: str = "train.py") -> Command:
    """Parses `--config RECIPE[:VARIANT]`, `--config.FIELD=VALUE`, and the options that `--help` lists.

    Unknown or ill-typed fields end the program with a message and exit code 2, as in every command-line tool.

    Args:
      arguments: the command line.
      program: what it was called as, for usage messages.

    Raises:
      ValueError: if the recipe is missing or wrong, or a field has a value that is not allowed.
    """
    known, overrides = options.parse(arguments, program=program)
    if known.help:
        options.show_help(program)
        overrides = [*overrides, "--help"]
    config = load_recipe(known.config, _given_resolution(_split(overrides)))
    return Command(override(config, overrides, program=program), known.workdir, known.dry_run, known.resume)


def override(config: Config, arguments: list[str], *, program: str = "train.py") -> Config:
    """Overrides fields of a completed config by `--config.FIELD=VALUE`.

    Values of several numbers are written 64x96 or 1,3,3,1. The fields of the code that a recipe names are typed and
    described by that code's own signature and docstring.
    """
    config = _with_loss(config, _split(arguments))
    types = _code_types(config)
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(Config)} | _typed(config, types)
    fields = [(name, kind, dataclasses.field(default=values[name])) for name, kind in types.items()]
    unchecked = {"__post_init__": lambda self: None}
    schema: type = dataclasses.make_dataclass("Config", fields, bases=(Config,), frozen=True, namespace=unchecked)
    root = [("config", schema, dataclasses.field(default=schema(**values)))]
    marked = tyro.conf.configure(tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands)
    command: Any = marked(dataclasses.make_dataclass("Command", root))
    arguments = _split(arguments, takes_one=lambda flag: _takes_one(schema, flag))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A value of a wrong type is refused below or by the code that it is for.
        parsed = tyro.cli(command, prog=program, args=arguments, use_underscores=True).config
    return binding.complete(_untyped(parsed, config))


def _code_types(config: Config) -> dict[str, type]:
    """Returns dataclasses of the arguments of the code that a config names, by field."""
    family = lookup.module(networks, config.network["name"])
    loss = lookup.function(adversarial, config.loss)
    types: dict[str, type] = {
        "network": _schema(family.build, config.network),
        "loss_settings": _schema(loss, config.loss_settings),
    }
    for field in ("g_regularizers", "d_regularizers"):
        chosen = getattr(config, field)
        each = [(name, _schema(lookup.function(regularizers, name), chosen[name])) for name in chosen]
        types[field] = dataclasses.make_dataclass(field, each, frozen=True)
    return types


def _schema(function: Callable, values: dict[str, Any]) -> type:
    """Returns a dataclass of those arguments of a function that have values, with their types and descriptions."""
    parameters = inspect.signature(function).parameters
    described = {p.arg_name: p.description for p in docstring_parser.parse(function.__doc__ or "").params}
    fields: list[tuple[str, Any]] = []
    for name in values:
        if name == "name":
            continue
        kind, text = TRAINER_SETTINGS_TYPES.get(name, (None, ""))
        kind = parameters[name].annotation if name in parameters else kind
        text = described.get(name) or text
        fields.append((name, Annotated[kind, tyro.conf.arg(help=text)]))
    return dataclasses.make_dataclass(function.__name__, fields, frozen=True)


def _typed(config: Config, types: dict[str, type]) -> dict[str, Any]:
    """Returns the settings of the code that a config names, as instances of the dataclasses of `_code_types`."""
    typed = {
        "network": types["network"](**{k: v for k, v in config.network.items() if k != "name"}),
        "loss_settings": types["loss_settings"](**config.loss_settings),
    }
    for field in ("g_regularizers", "d_regularizers"):
        kinds = get_type_hints(types[field])
        typed[field] = types[field](**{name: kinds[name](**values) for name, values in getattr(config, field).items()})
    return typed


def _untyped(parsed: Any, config: Config) -> Config:
    """Returns the config that was parsed, with the settings of code as dicts again."""
    values = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(Config)}
    values["network"] = {"name": config.network["name"], **dataclasses.asdict(parsed.network)}
    for field in ("loss_settings", "g_regularizers", "d_regularizers"):
        values[field] = dataclasses.asdict(values[field])
    return Config(**values)


def _with_loss(config: Config, arguments: list[str]) -> Config:
    """Returns the config with the loss that the command line names, whose settings are then the defaults."""
    if "--config.loss" not in arguments[:-1]:
        return config
    name = arguments[arguments.index("--config.loss") + 1]
    if name == config.loss:
        return config
    return binding.complete(dataclasses.replace(config, loss=name, loss_settings={}))


def _given_resolution(arguments: list[str]) -> int | tuple[int, ...] | None:
    """Returns the value of --config.data.resolution, from which a recipe may derive other fields."""
    if "--config.data.resolution" not in arguments:
        return None
    at = arguments.index("--config.data.resolution") + 1
    sides = []
    while at < len(arguments) and arguments[at].isdigit():
        sides.append(int(arguments[at]))
        at += 1
    return sides[0] if len(sides) == 1 else tuple(sides) or None


def _takes_one(schema: type, flag: str) -> bool:
    """Returns whether a flag names a field that holds one value."""
    kind: Any = schema
    for name in flag.removeprefix("--config.").split("."):
        kind = get_type_hints(kind).get(name) if dataclasses.is_dataclass(kind) else None
    return kind is not None and not _has_tuple(kind)


def _has_tuple(kind: Any) -> bool:
    return kind is tuple or get_origin(kind) is tuple or any(map(_has_tuple, get_args(kind)))


def _split(arguments: list[str], *, takes_one: Callable[[str], bool] = lambda flag: False) -> list[str]:
    """Splits --config.FIELD=VALUE in two, and 64x96 or 1,3,3,1 into its numbers unless the field holds one value."""
    several = re.compile(r"\d+(\.\d+)?([x,]\d+(\.\d+)?)+")
    split: list[str] = []
    flag = ""
    for argument in arguments:
        if argument.startswith("--"):
            flag, *values = argument.split("=", maxsplit=1)
            split.append(flag)
        else:
            values = [argument]
        for value in values:
            split += re.split("[x,]", value) if several.fullmatch(value) and not takes_one(flag) else [value]
    return split
