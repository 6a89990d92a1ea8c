"""Long work that ignores signals, such as compilation, on a thread that does not keep the program from exiting."""

import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

import jax

POLL_SECONDS = 0.1

_NAME = "flaxgan-background"

T = TypeVar("T")


class Cancelled(Exception):
    """Raised when the wait for a result is cancelled."""


def run(work: Callable[[], T], *, cancelled: Callable[[], bool] = lambda: False) -> T:
    """Calls a function on another thread, and waits for it so that signals can interrupt the wait.

    Args:
      work: the function. JAX contexts of this thread do not apply to it.
      cancelled: polled during the wait, which ends once it returns True. The thread continues until `leave` ends it.

    Returns:
      The result of the function.

    Raises:
      Cancelled: if the wait was cancelled.
      Exception: the exception of the function.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=do, name=_NAME, daemon=True)
    thread.start()
    while thread.is_alive():
        if cancelled():
            raise Cancelled
        thread.join(POLL_SECONDS)
    if errors:
        raise errors[0]
    return results[0]


def leave(code: int) -> NoReturn:
    """Exits the program.

    It exits immediately in two cases. If a cancelled thread is still working, a regular exit of Python would crash.
    After a failure in one of several processes, a regular exit would wait for the others, which wait for this one.
    """
    if any(thread.name == _NAME for thread in threading.enumerate()) or (code and jax.distributed.is_initialized()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
