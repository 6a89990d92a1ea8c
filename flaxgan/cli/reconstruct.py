"""Encodes images with the discriminator of a run and generates them again, for families whose discriminator encodes.

Writes a grid of pairs, original and reconstruction, and prints the mean squared error of images in [-1, 1]. Images are
cropped, resized and converted as those of the run were; of a run whose images all had the right size, others are
cropped about their centre and resized (lanczos).
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan reconstruct`."""
    parser.add_argument("run_path", metavar="RUN", help="a run folder (its latest checkpoint), or one checkpoint in it")
    parser.add_argument("image_paths", metavar="IMAGES", nargs="+", help="PNG, JPEG or WebP files, or folders of them")
    parser.add_argument("--out", required=True, metavar="FILE.png", help="the grid of pairs to write")
    parser.add_argument(
        "--scale",
        type=float,
        default=0.9,  # `reconstruction.SCALE`, which a test compares.
        help="standard deviation of the decoded latents; 1 is that of training (default: 0.9)",
    )
    parser.add_argument("--batch-size", type=int, default=16, help="images at a time (default: 16)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the grid."""
    from flaxgan.cli import _reconstruction_pairs  # Imports JAX, which `--help` can do without.

    _reconstruction_pairs.run(arguments)
