"""The `flaxgan` command: one module of this package for each subcommand.

A module offers `add_arguments(parser)` and `run(arguments)`, or `main(arguments, program=...)` if it parses its own
command line. Its docstring is the subcommand's help. The subcommand's name is the module's, with hyphens for
underscores.

Only the module of the command that is called is imported, and for `--help` it should import nothing heavy: `run`
imports what it needs.
"""

import argparse
import ast
import importlib.util
import pathlib
import re
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, NoReturn

from flaxgan import cli, lookup
from flaxgan.errors import FieldError
from flaxgan.train.run import exit_code


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    called = next((argument for argument in given if not argument.startswith("-")), "").replace("-", "_")
    module = lookup.module(cli, called) if called in lookup.module_names(cli) else None
    if module is not None and hasattr(module, "main") and given[0] == called:
        return module.main(given[1:], program=f"flaxgan {called}")
    parsed = _parse(given, module)
    return exit_code.of(lambda: _run(parsed))


def program() -> NoReturn:
    """Runs the command line of this process and ends it; the console script `flaxgan`."""
    exit_code.leave(main())


def _parse(given: list[str], called: ModuleType | None) -> argparse.Namespace:
    """Parses a command line; only the command that is called gets its arguments, those of its module."""
    parser = argparse.ArgumentParser(prog="flaxgan", description="Tools for GANs trained with flaxgan.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in lookup.module_names(cli):
        description = _docstring(name)
        summary = description.splitlines()[0]
        command = commands.add_parser(name.replace("_", "-"), help=summary, description=description)
        if called is not None and called.__name__ == f"{cli.__name__}.{name}" and hasattr(called, "add_arguments"):
            called.add_arguments(command)
            command.set_defaults(run=called.run)
    return parser.parse_args(given)


def _run(parsed: argparse.Namespace) -> None:
    _check_addresses(vars(parsed).values())
    parsed.run(parsed)


def _docstring(name: str) -> str:
    """Returns the docstring of a command's module without importing it."""
    spec = importlib.util.find_spec(f"{cli.__name__}.{name}")
    if spec is None or spec.origin is None:
        raise ImportError(f"{cli.__name__}.{name}: has no source file")
    return ast.get_docstring(ast.parse(pathlib.Path(spec.origin).read_text())) or ""


def _check_addresses(values: Iterable[Any]) -> None:
    """Checks that addresses such as http:// are of a kind that can be read.

    Raises:
      FieldError: naming the one that is not.
    """
    for value in values:
        found = re.match(r"([a-z0-9]+)://", value) if isinstance(value, str) else None
        if found is None:
            continue
        from flaxgan.data import field_checks

        if found[1] not in field_checks.SCHEMES:
            allowed = ", ".join(f"{name}://" for name in field_checks.SCHEMES)
            raise FieldError("address", value, f"a path on this machine, or one that begins with {allowed}")
