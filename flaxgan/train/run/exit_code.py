"""The end of a command: an exit code, and one message where a traceback would not help."""

import io
import os
import select
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from flaxgan.train.run import error_messages

INTERRUPTED = 130
CLOSED_PIPE = 141
"""128 + 13, as of a program that SIGPIPE has ended."""


def of(command: Callable[[], int | None]) -> int:
    """Runs a command and returns its exit code.

    Mistakes and failures of the machine print one message and give code 1; with FLAXGAN_TRACEBACK=1 in the environment
    they are raised instead. Ctrl-C gives 130. If standard output has lost its reader, as in `flaxgan recipes | head`,
    the command ends silently with 141.

    Args:
      command: the work. None, its usual result, is code 0.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Names of files need not be text.
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged metadata, which do not matter here, and about large images, which are allowed.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            code = command() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_closed():
            return CLOSED_PIPE
        if os.environ.get("FLAXGAN_TRACEBACK") or not error_messages.is_expected(error):
            raise
        print(f"error: {error_messages.explain(error)}", file=sys.stderr)
        return 1
    return code


def leave(code: int) -> NoReturn:
    """Ends the program; a command that has trained may have threads that Python would wait for."""
    if "flaxgan.train.programs.interruptible" in sys.modules:
        from flaxgan.train.programs import interruptible

        interruptible.leave(code)
    sys.exit(code)


def _is_closed() -> bool:
    """Returns whether standard output has lost its reader, and if so discards what Python would still write to it."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # Not a file.
        return False
    poll = select.poll()
    poll.register(output, 0)  # Errors are reported unasked.
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True
