"""Trains a GAN from a recipe."""

from flaxgan.train.recipes import options
from flaxgan.train.run import exit_code


def main(arguments: list[str], *, program: str) -> int:
    """Runs the training command.

    Args:
      arguments: the command line, see `flaxgan.train.recipes.flags.parse`.
      program: what it was called as, for usage messages.

    Returns:
      The exit code.

    Raises:
      SystemExit: with code 0 after help, with code 2 on what cannot be parsed.
    """
    return exit_code.of(lambda: _train(arguments, program))


def _train(arguments: list[str], program: str) -> None:
    options.parse(arguments, program=program)  # Help and missing recipes need no JAX.

    import jax

    from flaxgan.train.distributed import multihost
    from flaxgan.train.programs import compilation, dry_run
    from flaxgan.train.recipes import flags
    from flaxgan.train.run import launch
    from flaxgan.train.run.prepare import prepare

    multihost.start(flags.cluster(arguments))
    command = flags.parse(arguments, program=program)
    jax.config.update("jax_default_matmul_precision", command.config.matmul_precision)
    compilation.use_cache()
    if command.dry_run:
        dry_run.show(command.config, compile_too=command.dry_run == "compile")
        return
    with launch.ended_by_sigterm():
        launch.train(prepare(command.config, command.workdir, resume=command.resume))
