"""Batches that are on the devices before they are asked for."""

import queue
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Self

import jax
import numpy as np

_POLL_SECONDS = 0.1
_FORGOTTEN_SECONDS = 5.0  # how long leaving Python may wait for a thread that reads


def prefetch(
    iterator: Iterator[dict[str, np.ndarray]], sharding: jax.sharding.NamedSharding, size: int = 2
) -> "Prefetcher":
    """Turns this process's batches into global arrays in a background thread, a few ahead.

    Args:
      iterator: this process's rows of each global batch, in step with the other processes.
      sharding: how the leading axis of every array is spread over the devices, P('data').
      size: how many batches to hold ready, 1 or more.

    Returns:
      A `Prefetcher`: an iterator over dicts of jax.Array, to be used as a context manager or closed.
    """
    return Prefetcher(iterator, sharding, size)


class Prefetcher:
    """An iterator over batches on the devices; see `prefetch`.

    An exception of the thread, be it in reading or in placing a batch, is raised by the `next` that would have given
    that batch.

    Attributes:
      waited_seconds: how long `next` has waited for batches in all.
    """

    def __init__(self, iterator: Iterator[dict[str, np.ndarray]], sharding: jax.sharding.NamedSharding, size: int = 2):
        if size < 1:
            raise ValueError(f"size={size}; allowed: 1 or larger")
        self.waited_seconds = 0.0
        self._ready: queue.Queue = queue.Queue(size)
        self._stop = threading.Event()
        self._end: BaseException | None = None
        arguments = (iterator, sharding, self._ready, self._stop)
        self._thread = threading.Thread(target=_fill, args=arguments, name="flaxgan-prefetch", daemon=True)
        self._thread.start()
        # The thread knows nothing of this object, so that dropping it, or leaving Python, ends the thread as well.
        weakref.finalize(self, _end_thread, self._thread, self._stop, _FORGOTTEN_SECONDS)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, jax.Array]:
        if self._end is not None:
            raise self._end
        started = time.monotonic()
        batch, error = self._ready.get()
        self.waited_seconds += time.monotonic() - started
        if error is not None:
            self._end = error
            self.close()
            raise error
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused) -> None:
        self.close()

    def close(self) -> None:
        """Stops the thread and closes the iterator, if that can be closed; batches held ready are dropped."""
        if self._end is None:
            self._end = RuntimeError("these batches have been closed")
        _end_thread(self._thread, self._stop)
        while not self._ready.empty():
            self._ready.get_nowait()


def _fill(iterator: Iterator, sharding: jax.sharding.NamedSharding, ready: queue.Queue, stop: threading.Event) -> None:
    try:
        for batch in iterator:
            arrays = {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}
            if not _put((arrays, None), ready, stop):
                return
        _put((None, StopIteration()), ready, stop)
    except BaseException as error:
        _put((None, error), ready, stop)
    finally:
        if hasattr(iterator, "close"):
            iterator.close()


def _end_thread(thread: threading.Thread, stop: threading.Event, timeout_seconds: float | None = None) -> None:
    stop.set()
    if thread is not threading.current_thread():
        thread.join(timeout_seconds)


def _put(item: tuple, ready: queue.Queue, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=_POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False
