"""Generates images from a trained run, with the moving average of its generator."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan generate`."""
    parser.add_argument("run_path", metavar="RUN", help="a run folder (its latest checkpoint), or one checkpoint in it")
    parser.add_argument("--seeds", required=True, help="seeds of the images: 0-63, or 1,5,7-9")
    parser.add_argument("--out", required=True, help="a folder for seed0000.png ..., or FILE.png for one grid of all")
    parser.add_argument(
        "--psi", type=float, default=1.0, help="truncation; 0 gives the average image (default: 1, none)"
    )
    parser.add_argument("--cutoff", type=int, help="number of style layers that are truncated (default: all)")
    parser.add_argument("--class", dest="label", type=int, help="class of every image (default: seed modulo classes)")
    parser.add_argument(
        "--label",
        dest="vector",
        help="label of every image where labels are vectors: numbers with commas, such as 0,1,0.5",
    )
    parser.add_argument(
        "--noise-mode",
        choices=("const", "random", "none"),
        default="const",
        help="noise inputs of a style-based generator (default: const)",
    )
    parser.add_argument(
        "--truncation",
        type=float,
        help="redraw the components of z above this magnitude, for generators without styles (default: none)",
    )
    parser.add_argument(
        "--standing-batches",
        type=int,
        help="batches for new statistics of batch normalization (default: that of the run, mostly 0)",
    )
    parser.add_argument("--batch-size", type=int, default=16, help="images at a time (default: 16)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the images."""
    from flaxgan.cli import _seed_images  # Imports JAX, which `--help` can do without.

    _seed_images.run(arguments)
