"""The options of the training command beside the fields of a recipe. Imports neither JAX nor a recipe."""

import argparse
import pathlib
import re

from flaxgan.errors import FieldError, Words
from flaxgan.train.recipes import packaged
from flaxgan.train.recipes.loader import recipe_name

DRY_RUN_KINDS = ("table", "compile")

_DESCRIPTION = """\
Trains a GAN from a recipe. The same command with the same run folder resumes. Every field of the recipe is an option:
--config.FIELD=VALUE, such as --config.data.path=photos.zip; --help with --config lists them."""


def parse(arguments: list[str], *, program: str) -> tuple[argparse.Namespace, list[str]]:
    """Parses the options; answers `--help` if there is no recipe whose fields it would have to list.

    Args:
      arguments: the command line.
      program: what it was called as, for usage messages.

    Returns:
      The options, and the arguments left over: those of the recipe's fields.

    Raises:
      FieldError: if there is no recipe, or a value is not allowed.
      SystemExit: with code 0 after help, with code 2 on what cannot be parsed.
    """
    parser = _parser(program)
    known, overrides = parser.parse_known_args(arguments)
    if known.config is None:
        if known.help:
            parser.print_help()
            raise SystemExit(0)
        allowed = f"the name of a recipe ({', '.join(packaged.names())}), or a path such as configs/quickstart.py"
        raise FieldError("--config", Words("nothing"), allowed)
    known.workdir = _workdir(known.workdir, known.config)
    known.resume = _resume(known.resume)
    return known, overrides


def show_help(program: str) -> None:
    """Prints the options."""
    _parser(program).print_help()


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Adds the options that describe several processes."""
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="several processes: the address of process 0")
    parser.add_argument("--num-processes", type=int, metavar="N", help="several processes: their number")
    parser.add_argument("--process-id", type=int, metavar="I", help="several processes: the number of this one, from 0")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=_DESCRIPTION, add_help=False, allow_abbrev=False)
    recipe = "name of a recipe (see `flaxgan recipes`), or a Python file with get_config()"
    parser.add_argument("--config", metavar="RECIPE[:VARIANT]", help=recipe)
    parser.add_argument("--workdir", metavar="DIR", help="run folder (default: runs/<name of the recipe>)")
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="table",
        choices=DRY_RUN_KINDS,
        help="show parameters, devices and steps without reading data; =compile also compiles every phase",
    )
    resume = "step of the checkpoint to continue from; later ones are set aside (default: latest)"
    parser.add_argument("--resume", metavar="STEP", default="latest", help=resume)
    add_cluster(parser)
    parser.add_argument("-h", "--help", action="store_true", help="show this, and with --config every field of it")
    return parser


def _workdir(given: str | None, recipe: str) -> pathlib.Path:
    if given and "://" in given:
        raise FieldError("--workdir", given, "a folder of this machine; a bucket can be mounted as one")
    return pathlib.Path(given or pathlib.Path("runs", recipe_name(recipe)))


def _resume(text: str) -> int | None:
    if text == "latest":
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise FieldError("--resume", text, "latest, or the step of a checkpoint")
    return int(text)
