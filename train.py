"""Trains a GAN; the same as `flaxgan train`, for use in a checkout.

python train.py --config configs/stylegan2_ffhq.py [--workdir DIR] [--dry-run] [--config.FIELD=VALUE ...]

On several hosts the same command runs on each of them; see the README.
"""

import sys

from flaxgan.cli import train
from flaxgan.train.run import exit_code


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code."""
    return train.main(arguments, program="train.py")


if __name__ == "__main__":
    exit_code.leave(main(sys.argv[1:]))
