"""Silence while Orbax and the array store work: they print tracebacks of errors that they raise all the same."""

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LOGGERS = ("absl", "asyncio")
_SIGNS = ("orbax", "ocdbt", "zarr")
"""Words of records of Orbax and of the array store below it."""


class _Silence:
    """A filter on loggers and a hook that are in place while anybody has entered and not left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._hook: Callable[[Any], None] | None = None
        self._previous_hook: Callable[[Any], Any] = sys.unraisablehook

    def enter(self) -> None:
        """Installs both if they are not in place."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                for name in _LOGGERS:
                    logging.getLogger(name).addFilter(_passes)
                self._previous_hook = sys.unraisablehook
                self._hook = self._hook_before(self._previous_hook)
                sys.unraisablehook = self._hook

    def leave(self) -> None:
        """Removes both if nobody else has entered."""
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                for name in _LOGGERS:
                    logging.getLogger(name).removeFilter(_passes)
                if sys.unraisablehook is self._hook:  # A hook that was installed later stays, and may call this one.
                    sys.unraisablehook = self._previous_hook

    def _hook_before(self, previous: Callable[[Any], Any]) -> Callable[[Any], None]:
        """Returns a hook that ignores reads and writes of Orbax that go on after another one has failed."""

        def hook(unraisable: Any) -> None:
            task, ended = unraisable.object, str(unraisable.exc_value) == "Event loop is closed"
            ignored = ended or (inspect.iscoroutine(task) and "orbax" in task.cr_code.co_filename)
            if not (ignored and self._depth):
                previous(unraisable)

        return hook


_silence = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Hides records of Orbax in the logs, and errors in its coroutines that nobody awaits any more.

    Records of other code pass. The first of several blocks, nested or in several threads, installs a filter and a hook,
    and the last one removes them: afterwards the process is as it was.
    """
    silence = _silence
    silence.enter()
    try:
        yield
    finally:
        silence.leave()


def stay_quiet(seconds: float) -> None:
    """Keeps quiet for some time after an error, while the reads and writes that began with the failed one end."""
    _silence.enter()
    timer = threading.Timer(seconds, _silence.leave)
    timer.daemon = True  # The program may end before.
    timer.start()


def _passes(record: logging.LogRecord) -> bool:
    """Returns False for a record of Orbax, or of asyncio about a task of Orbax or of the array store."""
    text = f"{record.pathname} {record.getMessage()}".lower()
    return record.levelno >= logging.CRITICAL or not any(sign in text for sign in _SIGNS)
