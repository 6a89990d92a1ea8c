"""The command line of train.py: a recipe, and overrides of its fields."""

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
from flaxgan.train.recipes.loader import load_recipe, recipe_name
from flaxgan.train.step import binding

DRY_RUN_KINDS = ("table", "compile")

TRAINER_SETTINGS_TYPES = {
    "interval": (int | None, "steps between two optimizer steps of its own; None adds it to the main loss"),
    "batch_shrink": (int, "it sees the first 1/batch_shrink of the images"),
}


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
    """The processes that a command line names. It is parsed on its own, because recipes may already ask for devices."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_cluster(parser)
    known, _ = parser.parse_known_args(arguments)
    return Cluster(known.coordinator, known.num_processes, known.process_id)


def parse(arguments: list[str]) -> Command:
    """Parses the arguments of train.py: `--config FILE[:VARIANT]`, `--config.FIELD=VALUE`, and what `--help` lists.

    Unknown or ill-typed fields end the program with a message and exit code 2, as every command line tool does.

    Raises:
      ValueError: if the recipe is missing or wrong, or a field has a value that is not allowed.
    """
    parser = argparse.ArgumentParser(prog="train.py", description="Trains a GAN from a recipe.", add_help=False)
    parser.add_argument("--config", metavar="FILE[:VARIANT]", help="recipe, a Python file with get_config()")
    parser.add_argument("--workdir", metavar="DIR", help="run folder (default: runs/<name of the recipe>)")
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="table",
        choices=DRY_RUN_KINDS,
        help="show parameters, devices and steps, with no data; =compile also compiles every phase",
    )
    resume = "step of the checkpoint to continue from; later ones are set aside (default: latest)"
    parser.add_argument("--resume", metavar="STEP", default="latest", help=resume)
    _add_cluster(parser)
    parser.add_argument("-h", "--help", action="store_true", help="show this, and with --config every field of it")
    parser.allow_abbrev = False
    known, overrides = parser.parse_known_args(arguments)
    if known.config is None:
        if known.help:
            parser.print_help()
            raise SystemExit(0)
        raise ValueError("--config: missing, allowed: a recipe such as configs/quickstart.py")
    if known.help:
        parser.print_help()
        overrides = [*overrides, "--help"]
    config = override(load_recipe(known.config, _given_resolution(_split(overrides))), overrides)
    workdir = known.workdir or pathlib.Path("runs", recipe_name(known.config))
    if "://" in str(workdir):
        allowed = "a folder of this machine; a bucket can be mounted as one"
        raise ValueError(f"--workdir: found {workdir!r}, allowed: {allowed}")
    return Command(config, pathlib.Path(workdir), known.dry_run, _resume(known.resume))


def _resume(text: str) -> int | None:
    if text == "latest":
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ValueError(f"--resume: found {text!r}, allowed: latest, or the step of a checkpoint")
    return int(text)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of several processes: where process 0 listens")
    parser.add_argument("--num-processes", type=int, metavar="N", help="of several processes: how many there are")
    parser.add_argument("--process-id", type=int, metavar="I", help="of several processes: which this is, from 0")


def override(config: Config, arguments: list[str]) -> Config:
    """A completed config with fields overridden by `--config.FIELD=VALUE`.

    Values of several numbers are written 64x96 or 1,3,3,1. The fields of the code that a recipe names are typed and
    described by that code's own signature and docstring.
    """
    config = _with_loss(config, _split(arguments))
    types = _code_types(config)
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(Config)} | _typed(config, types)
    fields = [(name, kind, dataclasses.field(default=values[name])) for name, kind in types.items()]
    unchecked = {"__post_init__": lambda self: None}
    schema = dataclasses.make_dataclass("Config", fields, bases=(Config,), frozen=True, namespace=unchecked)
    command = [("config", schema, dataclasses.field(default=schema(**values)))]
    marked = tyro.conf.configure(tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands)
    command = marked(dataclasses.make_dataclass("Command", command))
    arguments = _split(arguments, takes_one=lambda flag: _takes_one(schema, flag))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A recipe's value of a wrong type is refused by name, below or by its code.
        parsed = tyro.cli(command, prog="train.py", args=arguments, use_underscores=True).config
    return binding.complete(_untyped(parsed, config))


def _code_types(config: Config) -> dict[str, type]:
    """Dataclasses of the arguments of the code that a config names, by field."""
    family = lookup.module(networks, config.network["name"])
    loss = lookup.function(adversarial, config.loss)
    types = {
        "network": _schema(family.build, config.network),
        "loss_settings": _schema(loss, config.loss_settings),
    }
    for field in ("g_regularizers", "d_regularizers"):
        chosen = getattr(config, field)
        each = [(name, _schema(lookup.function(regularizers, name), chosen[name])) for name in chosen]
        types[field] = dataclasses.make_dataclass(field, each, frozen=True)
    return types


def _schema(function: Callable, values: dict[str, Any]) -> type:
    """A dataclass of those arguments of a function that have values, with their types and descriptions."""
    parameters = inspect.signature(function).parameters
    described = {p.arg_name: p.description for p in docstring_parser.parse(function.__doc__).params}
    fields = []
    for name in values:
        if name == "name":
            continue
        kind, text = TRAINER_SETTINGS_TYPES.get(name, (None, ""))
        kind = parameters[name].annotation if name in parameters else kind
        text = described.get(name) or text
        fields.append((name, Annotated[kind, tyro.conf.arg(help=text)]))
    return dataclasses.make_dataclass(function.__name__, fields, frozen=True)


def _typed(config: Config, types: dict[str, type]) -> dict[str, Any]:
    typed = {
        "network": types["network"](**{k: v for k, v in config.network.items() if k != "name"}),
        "loss_settings": types["loss_settings"](**config.loss_settings),
    }
    for field in ("g_regularizers", "d_regularizers"):
        kinds = {f.name: f.type for f in dataclasses.fields(types[field])}
        typed[field] = types[field](**{name: kinds[name](**values) for name, values in getattr(config, field).items()})
    return typed


def _untyped(parsed: Any, config: Config) -> Config:
    values = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(Config)}
    values["network"] = {"name": config.network["name"], **dataclasses.asdict(parsed.network)}
    for field in ("loss_settings", "g_regularizers", "d_regularizers"):
        values[field] = dataclasses.asdict(values[field])
    return Config(**values)


def _with_loss(config: Config, arguments: list[str]) -> Config:
    """The config with the loss that the command line asks for: its settings are those of that loss."""
    if "--config.loss" not in arguments[:-1]:
        return config
    name = arguments[arguments.index("--config.loss") + 1]
    return config if name == config.loss else binding.complete(dataclasses.replace(config, loss=name, loss_settings={}))


def _given_resolution(arguments: list[str]) -> int | tuple[int, ...] | None:
    """The value of --config.data.resolution, which a recipe may derive other fields from."""
    if "--config.data.resolution" not in arguments:
        return None
    at = arguments.index("--config.data.resolution") + 1
    sides = []
    while at < len(arguments) and arguments[at].isdigit():
        sides.append(int(arguments[at]))
        at += 1
    return sides[0] if len(sides) == 1 else tuple(sides) or None


def _takes_one(schema: type, flag: str) -> bool:
    """Whether there is a field of that flag, and it holds one value."""
    kind: Any = schema
    for name in flag.removeprefix("--config.").split("."):
        kind = get_type_hints(kind).get(name) if dataclasses.is_dataclass(kind) else None
    return kind is not None and not _has_tuple(kind)


def _has_tuple(kind: Any) -> bool:
    return kind is tuple or get_origin(kind) is tuple or any(map(_has_tuple, get_args(kind)))


def _split(arguments: list[str], *, takes_one: Callable[[str], bool] = lambda flag: False) -> list[str]:
    """--config.FIELD=VALUE as two arguments, and 64x96 or 1,3,3,1 as one for each number unless one value is taken."""
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
