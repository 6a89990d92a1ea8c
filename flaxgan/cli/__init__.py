"""The `flaxgan` command: one module of this package for each subcommand.

A module offers `add_arguments(parser)` and `run(arguments)`; its docstring is the subcommand's help. The subcommand's
name is the module's, with hyphens for underscores.
"""

import argparse
import io
import os
import sys

from flaxgan import cli, lookup
from flaxgan.train import problems


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
        parsed.run(parsed)
    except problems.EXPECTED as error:
        if os.environ.get("FLAXGAN_TRACEBACK"):
            raise
        print(f"error: {problems.explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
