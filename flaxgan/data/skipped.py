"""The images that could not be used, where a recipe asks to skip those."""

import logging

from flaxgan.data.errors import ImageError

MAX_NAMED = 10
"""How many of them are named in the log and in the summary; of more, only how many they are."""

_log = logging.getLogger(__name__)


class Skipped:
    """Counts images that could not be used, and says so in the log; safe to use from many threads, and picklable."""

    def __init__(self) -> None:
        self._problems: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._problems)

    def __contains__(self, index: int) -> bool:
        return index in self._problems

    def note(self, index: int, error: ImageError) -> None:
        """Notes that the image at an index cannot be used."""
        problem = str(error)
        if self._problems.setdefault(index, problem) is not problem:
            return  # Another thread has noted it.
        count = len(self)
        if count <= MAX_NAMED:
            _log.warning("skipped image %d: %s", count, problem)
        elif not count & (count - 1):
            _log.warning("%s images skipped so far", f"{count:,}")

    def first(self) -> str | None:
        """What is wrong with the first of them in the set's order; None where there were none."""
        return self._problems[min(self._problems)] if self._problems else None

    def summary(self) -> str | None:
        """How many there were and the first of them by name, in one paragraph; None where there were none."""
        if not self._problems:
            return None
        first = [self._problems[index] for index in sorted(self._problems)[:MAX_NAMED]]
        more = f"\n  and {len(self) - len(first):,} more" if len(self) > len(first) else ""
        lines = "".join(f"\n  {problem}" for problem in first)
        return f"{len(self):,} images could not be used, and were replaced by the next one in the set:{lines}{more}"
