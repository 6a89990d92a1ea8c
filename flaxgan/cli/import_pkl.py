"""Imports a StyleGAN2-ADA network pickle (PyTorch) as a run folder, without executing anything in it.

The run can be given to every tool, and to train.py as --config.init_from=RUN. Blocks that the pickle computes in
float16 are computed in float32; set network.dtype in a recipe to train them in reduced precision.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan import-pkl`."""
    parser.add_argument("pickle_path", metavar="FILE.pkl", help="a network pickle of StyleGAN2-ADA-PyTorch")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to make")


def run(arguments: argparse.Namespace) -> None:
    """Writes the run folder.

    Raises:
      ValueError: if the file is not such a pickle or holds networks that cannot be built, or if the folder exists.
    """
    from flaxgan.cli import _pickle_import  # Imports JAX, which `--help` can do without.

    _pickle_import.run(arguments)
