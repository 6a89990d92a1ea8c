"""Prefetching of batches to the devices."""

import queue
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Self

import jax
import numpy as np

from flaxgan.errors import FieldError

_Item = dict[str, jax.Array] | BaseException

_POLL_SECONDS = 0.1
_FORGOTTEN_SECONDS = 5.0  # Longest wait of Python's exit for a thread that reads.


def prefetch(
    iterator: Iterator[dict[str, np.ndarray]], sharding: jax.sharding.NamedSharding, size: int = 2
) -> "Prefetcher":
    """Turns this process's batches into global arrays ahead of time, in a background thread.

    Args:
      iterator: this process's rows of each global batch, in step with the other processes.
      sharding: sharding of the leading axis of every array over the devices, P('data').
      size: number of batches to hold ready, 1 or more.

    Returns:
      A `Prefetcher`: an iterator over dicts of jax.Array. Use it as a context manager, or close it.
    """
    return Prefetcher(iterator, sharding, size)


class Prefetcher:
    """An iterator over batches on the devices; see `prefetch`.

    If reading or placing a batch raises an exception, the `next` of that batch raises it.

    Attributes:
      waited_seconds: total time that `next` has waited for batches.
    """

    def __init__(
        self, iterator: Iterator[dict[str, np.ndarray]], sharding: jax.sharding.NamedSharding, size: int = 2
    ) -> None:
        if size < 1:
            raise FieldError("size", size, "1 or larger")
        self.waited_seconds = 0.0
        self._ready: queue.Queue[_Item] = queue.Queue(size)
        self._stop = threading.Event()
        self._end: BaseException | None = None
        arguments = (iterator, sharding, self._ready, self._stop)
        self._thread = threading.Thread(target=_fill, args=arguments, name="flaxgan-prefetch", daemon=True)
        self._thread.start()
        # The thread does not refer to this object, so that dropping the object, or leaving Python, ends the thread too.
        weakref.finalize(self, _end_thread, self._thread, self._stop, _FORGOTTEN_SECONDS)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, jax.Array]:
        if self._end is not None:
            raise self._end
        started = time.monotonic()
        batch = self._ready.get()
        self.waited_seconds += time.monotonic() - started
        if isinstance(batch, BaseException):
            self._end = batch
            self.close()
            raise batch
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the thread, closes the iterator if it has `close`, and drops the batches that are ready."""
        if self._end is None:
            self._end = RuntimeError("these batches have been closed")
        _end_thread(self._thread, self._stop)
        while not self._ready.empty():
            self._ready.get_nowait()


def _fill(
    iterator: Iterator[dict[str, np.ndarray]],
    sharding: jax.sharding.NamedSharding,
    ready: "queue.Queue[_Item]",
    stop: threading.Event,
) -> None:
    try:
        for batch in iterator:
            arrays = {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}
            if not _put(arrays, ready, stop):
                return
        _put(StopIteration(), ready, stop)
    except BaseException as error:
        _put(error, ready, stop)
    finally:
        if hasattr(iterator, "close"):
            iterator.close()


def _end_thread(thread: threading.Thread, stop: threading.Event, timeout_seconds: float | None = None) -> None:
    stop.set()
    if thread is not threading.current_thread():
        thread.join(timeout_seconds)


def _put(item: _Item, ready: "queue.Queue[_Item]", stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=_POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False
