"""A progress line on the error stream: rewritten on a terminal, elsewhere a new line now and then."""

import sys
import time

from flaxgan.data.conversion.journal import Row

_TERMINAL_SECONDS = 0.2
_FILE_SECONDS = 10.0


class ProgressLine:
    """Shows the images done, images per second, and the time that is left.

    Args:
      count: images in all.
      unusable: the words for images that cannot be used.
      names_all: whether images that an earlier process found to be unusable are named, too.
    """

    def __init__(self, count: int, *, unusable: str = "skipped", names_all: bool = False) -> None:
        self._count = count
        self._unusable = unusable
        self._names_all = names_all
        self._done = self._new = self._skipped = 0
        self._started = self._shown = time.monotonic()
        self._rewrites = sys.stderr.isatty()
        self._is_open = False  # Whether the last line on the terminal is this one.

    def converted(self, row: Row, is_new: bool) -> None:
        """Counts a converted image. Images of an earlier process count as done, but not for the speed."""
        if is_new and not self._new and self._done:
            self._print(f"resuming after {self._done:,} of {self._count:,} images")
        if row.skipped is not None:
            self._skipped += 1
            if is_new or self._names_all:
                self._print(f"{self._unusable}: {row.skipped}")
        self._step(is_new)

    def checked(self, done: int, count: int) -> None:
        """Counts a checked image."""
        self._step(True)

    def close(self) -> None:
        """Leaves the line as it is; the next output begins a new one."""
        if self._is_open:
            self._show()
            print(file=sys.stderr)
            self._is_open = False

    def _step(self, is_new: bool) -> None:
        self._done += 1
        self._new += is_new
        now = time.monotonic()
        if now - self._shown >= (_TERMINAL_SECONDS if self._rewrites else _FILE_SECONDS):
            self._shown = now
            self._show()

    def _show(self) -> None:
        seconds = max(time.monotonic() - self._started, 1e-3)
        left = (self._count - self._done) * seconds / max(self._new, 1)
        skipped = f", {self._skipped:,} {self._unusable}" if self._skipped else ""
        share = self._done / max(self._count, 1)
        text = (
            f"{self._done:,} of {self._count:,} images ({share:.1%}), {self._new / seconds:,.0f} images/s, "
            f"{_duration(left)} left{skipped}"
        )
        print(f"\r\033[K{text}" if self._rewrites else text, end="" if self._rewrites else "\n", file=sys.stderr)
        sys.stderr.flush()
        self._is_open = self._rewrites

    def _print(self, text: str) -> None:
        print(f"\r\033[K{text}" if self._is_open else text, file=sys.stderr)
        self._is_open = False


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
