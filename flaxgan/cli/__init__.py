"""The `flaxgan` command: one module of this package for each subcommand.

A module offers `add_arguments(parser)` and `run(arguments)`; its docstring is the subcommand's help. The subcommand's
name is the module's, with hyphens for underscores.
"""

import argparse
import io
import os
import sys

from flaxgan import cli, lookup


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
    except (ValueError, OSError, MemoryError) as error:
        if os.environ.get("FLAXGAN_TRACEBACK"):
            raise
        print(f"error: {_explained(error)}", file=sys.stderr)
        return 1
    return 0


def _explained(error: Exception) -> str:
    """What went wrong, without Python's numbers."""
    if isinstance(error, MemoryError):
        return f"there is not enough memory. {error}".strip()
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
