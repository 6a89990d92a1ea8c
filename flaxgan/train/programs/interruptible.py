"""Long work that pays no heed to signals, such as compilation, done where it does not keep the program from ending."""

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
    """Work whose result is not waited for any more."""


def run(work: Callable[[], T], *, cancelled: Callable[[], bool] = lambda: False) -> T:
    """What some work gives, which is done in a thread of its own while this one waits and can be interrupted.

    Args:
      work: what is done. It sees none of this thread's JAX contexts.
      cancelled: asked all the time; once it says yes, the wait ends. The thread goes on, and `leave` ends it.

    Raises:
      Cancelled: if the wait was ended.
      Exception: what the work raises.
    """
    results, errors = [], []

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
    """Ends the program.

    It ends at once if work that nobody waits for is still being done, where leaving Python would crash; and after a
    failure in a run of several processes, where it would wait for the others, which wait for this one.
    """
    if any(thread.name == _NAME for thread in threading.enumerate()) or (code and jax.distributed.is_initialized()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
