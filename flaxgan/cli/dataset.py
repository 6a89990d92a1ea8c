"""Converts any images into a ZIP archive (in the StyleGAN layout) or an array_record set, in the size to train at.

After an interruption the same command resumes; the result is the same, byte for byte, for any number of interruptions
and workers. It appears under its name once it is complete. Its manifest lists the number and shape of the images, how
they were cropped and resized (FID depends on that), which images could not be used and why, and a checksum, which
--check compares.
"""

import argparse
import re


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan dataset`."""
    parser.add_argument("src", metavar="SRC", nargs="?", help="a folder, a ZIP archive, an array_record set, `digits`")
    parser.add_argument("dest", metavar="DEST", nargs="?", help="what to make: NAME.zip, or a folder for array_record")
    parser.add_argument("--check", metavar="DEST", help="read a set made by this command, and compare its checksum")
    parser.add_argument("--source", metavar="KIND", help="kind of SRC, as data.source; tfds reads a prepared TFDS set")
    parser.add_argument("--resolution", type=_resolution, metavar="HxW", help="pixels, R or HxW; default: SRC's")
    parser.add_argument("--channels", type=int, choices=(1, 3, 4), help="1 grey, 3 RGB, 4 RGBA; default: SRC's own")
    parser.add_argument("--crop", choices=("none", "center"), default="none", help="as data.crop; default: none")
    parser.add_argument("--resize", choices=("none", "lanczos", "box"), help="default: lanczos with --resolution")
    labels = ("auto", "classes", "vectors", "none")
    parser.add_argument("--labels", choices=labels, default="auto", help="default: those that SRC has")
    parser.add_argument("--format", choices=("zip", "array_record"), help="default: zip where DEST ends in .zip")
    on_error = "images that cannot be used: name them all and make nothing (default), or name them and leave them out"
    parser.add_argument("--on-error", choices=("raise", "skip"), default="raise", help=on_error)
    parser.add_argument("--workers", type=int, help="threads that read and encode; default: one for each core")
    parser.add_argument("--restart", action="store_true", help="start again instead of resuming")


def run(arguments: argparse.Namespace) -> None:
    """Makes or checks a set.

    Raises:
      ValueError: on a mistake in the arguments, an image that cannot be used, or a set that fails its check.
      OSError: if something is missing or cannot be written.
    """
    from flaxgan.cli import _dataset_conversion  # Imports Pillow, which `--help` can do without.

    _dataset_conversion.run(arguments)


def _resolution(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, allowed: pixels as R or HxW, such as 256 or 64x96")
    return int(found[1]), int(found[2] or found[1])
