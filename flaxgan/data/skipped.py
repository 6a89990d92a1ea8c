"""A record of the images that could not be used, for recipes that skip them."""

import logging

from flaxgan.data.errors import ImageError

MAX_NAMED = 10
"""Number of images that the log and the summary name; further images are only counted."""

_log = logging.getLogger(__name__)


class Skipped:
    """Counts images that could not be used, and logs them. It is picklable, and safe to use from many threads."""

    def __init__(self) -> None:
        self._problems: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._problems)

    def __contains__(self, index: int) -> bool:
        return index in self._problems

    def note(self, index: int, error: ImageError) -> None:
        """Records that the image at an index cannot be used."""
        problem = str(error)
        if self._problems.setdefault(index, problem) is not problem:
            return  # Another thread has recorded it.
        count = len(self)
        if count <= MAX_NAMED:
            _log.warning("skipped image %d: %s", count, problem)
        elif not count & (count - 1):
            _log.warning("%s images skipped so far", f"{count:,}")

    def first(self) -> str | None:
        """Returns the problem of the first such image in the order of the set; None if there is no such image."""
        return self._problems[min(self._problems)] if self._problems else None

    def summary(self) -> str | None:
        """Returns the number of images and the names of the first of them, in one paragraph; None if there are none."""
        if not self._problems:
            return None
        first = [self._problems[index] for index in sorted(self._problems)[:MAX_NAMED]]
        more = f"\n  and {len(self) - len(first):,} more" if len(self) > len(first) else ""
        lines = "".join(f"\n  {problem}" for problem in first)
        return f"{len(self):,} images could not be used, and were replaced by the next one in the set:{lines}{more}"
