"""Trains a GAN.

python train.py --config configs/stylegan2_ffhq.py [--workdir DIR] [--dry-run] [--config.FIELD=VALUE ...]

On several hosts the same command runs on each of them; see the README.
"""

import io
import os
import sys

import jax

from flaxgan.train.distributed import multihost
from flaxgan.train.programs import compilation, dry_run, interruptible
from flaxgan.train.recipes import flags
from flaxgan.train.run import error_messages, launch
from flaxgan.train.run.prepare import prepare


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code.

    Mistakes and interruptions end with one message. FLAXGAN_TRACEBACK=1 in the environment shows where it comes from.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Names of files may hold anything.
    try:
        multihost.start(flags.cluster(arguments))
        command = flags.parse(arguments)
        jax.config.update("jax_default_matmul_precision", command.config.matmul_precision)
        compilation.use_cache()
        if command.dry_run:
            dry_run.show(command.config, compile_too=command.dry_run == "compile")
            return 0
        with launch.ended_by_sigterm():
            launch.train(prepare(command.config, command.workdir, resume=command.resume))
    except error_messages.EXPECTED as error:
        if os.environ.get("FLAXGAN_TRACEBACK"):
            raise
        print(f"error: {error_messages.explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    interruptible.leave(main(sys.argv[1:]))
