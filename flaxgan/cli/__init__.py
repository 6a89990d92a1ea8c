"""The `flaxgan` command: one module of this package for each subcommand.

A module offers `add_arguments(parser)` and `run(arguments)`; its docstring is the subcommand's help. The subcommand's
name is the module's, with hyphens for underscores.
"""

import argparse
import io
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from flaxgan import cli, lookup
from flaxgan.data import field_checks
from flaxgan.train.run import error_messages


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="flaxgan", description="Tools for GANs trained with flaxgan.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in lookup.module_names(cli):
        module = lookup.module(cli, name)
        summary = module.__doc__.strip().splitlines()[0]
        command = commands.add_parser(name.replace("_", "-"), help=summary, description=module.__doc__.strip())
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Names of files may hold anything.
    try:
        _check_addresses(vars(parsed).values())
        parsed.run(parsed)
    except error_messages.EXPECTED as error:
        if os.environ.get("FLAXGAN_TRACEBACK"):
            raise
        print(f"error: {error_messages.explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _check_addresses(values: Iterable[Any]) -> None:
    """Raises ValueError if an argument is an address such as http://, of which nothing can be read."""
    for value in values:
        found = re.match(r"([a-z0-9]+)://", value) if isinstance(value, str) else None
        if found and found[1] not in field_checks.SCHEMES:
            allowed = ", ".join(f"{name}://" for name in field_checks.SCHEMES)
            raise ValueError(f"{value}: allowed: a path on this machine, or one that begins with {allowed}")
