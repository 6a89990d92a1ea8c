"""Repeats the step whose non-finite number ended a run, and shows where that number comes from.

Such a run has kept the state before the step, its images and its random key in RUN/failures. The step is run once as in
training, then with every layer and gradient watched, then one operation at a time until a result is non-finite.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan replay`."""
    parser.add_argument("run_path", metavar="RUN", help="a run folder (its latest failure), or one folder in failures/")


def run(arguments: argparse.Namespace) -> None:
    """Prints the report."""
    from flaxgan.cli import _failure_report  # Imports JAX, which `--help` can do without.

    _failure_report.run(arguments)
