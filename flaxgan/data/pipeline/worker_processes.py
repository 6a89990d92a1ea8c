"""Decoding of images in worker processes: threads of one process contend for the GIL."""

import dataclasses
import math
import mmap
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from flaxgan.data.source import Images, Source
from flaxgan.errors import FieldError

LINES = 2
"""Batches that are in flight for each process: it decodes one while another is transferred or waits."""

_END_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ELSE = "config.data.workers='threads' needs no processes"


class _Memory:
    """Memory that two processes share until both have ended; it grows on demand.

    Attributes:
      descriptor: descriptor of the open file behind the memory.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        weakref.finalize(self, os.close, descriptor)

    def rows(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the start of the memory as images, uint8 [N, H, W, C]."""
        num_bytes = math.prod(shape)
        if self._map is None or len(self._map) < num_bytes:
            if os.fstat(self.descriptor).st_size < num_bytes:
                os.ftruncate(self.descriptor, num_bytes)
            self._map = mmap.mmap(self.descriptor, num_bytes)
        return np.frombuffer(self._map, np.uint8, num_bytes).reshape(shape)


class _Line(NamedTuple):
    """A connection to a worker process, and the memory that is shared with it."""

    process: subprocess.Popen[bytes]
    connection: Connection
    memory: _Memory


class ProcessImages:
    """Images that worker processes decode when many are read at once; see `flaxgan.data.source.BatchedImages`.

    The processes start at the first such read. They end with this process, however it ends: they wait for requests, and
    then find the connection closed.

    Attributes:
      started: the processes, once they have started.
    """

    def __init__(self, images: Images, num_processes: int) -> None:
        """Decodes `images` with `num_processes` processes; each decodes one batch at a time."""
        self._images, self._num_processes = images, num_processes
        self.started: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._idle: queue.SimpleQueue[_Line] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ProcessImages, (self._images, self._num_processes)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images[index]

    def read_into(self, indices: Sequence[int], rows: np.ndarray) -> list[int]:
        """Reads many images in one of the processes; see `flaxgan.data.source.BatchedImages`.

        Raises:
          ChildProcessError: if that process has ended, or no process can be started.
        """
        idle = self._lines()
        line = idle.get()
        try:
            shared = line.memory.rows(rows.shape)
            line.connection.send((indices, rows.shape))
            left_out = line.connection.recv()
            rows[...] = shared
        except (EOFError, OSError) as error:
            raise ChildProcessError(_ended(line.process)) from error
        finally:
            idle.put(line)
        return left_out

    def _lines(self) -> "queue.SimpleQueue[_Line]":
        with self._lock:
            if self._idle is None:
                try:
                    lines = self._start()
                except OSError as error:
                    raise ChildProcessError(
                        f"the processes that decode images cannot be started ({error}); {_ELSE}"
                    ) from error
                self._idle = queue.SimpleQueue()
                for line in lines:
                    self._idle.put(line)
            return self._idle

    def _start(self) -> list[_Line]:
        """Starts the processes; returns their lines, the first line of every process before the second ones."""
        processes = [_start() for _ in range(self._num_processes)]
        lines = [line for of_each in zip(*processes, strict=True) for line in of_each]
        weakref.finalize(self, _end, lines)
        self.started = [process for (process, _, _), *_ in processes]
        for line in lines[: self._num_processes]:
            line.connection.send(self._images)
        return lines


def spread(source: Source, num_processes: int) -> Source:
    """Returns the same source, with batches of images decoded by worker processes.

    Args:
      source: the source. Images that lie in an array are not decoded, and need no processes.
      num_processes: number of worker processes, 1 or more.

    Raises:
      FieldError: if a process of this system cannot start with its signals blocked (Windows).
    """
    if not hasattr(signal, "pthread_sigmask"):
        raise FieldError("config.data.workers", "processes", "'threads' on this system; 'processes' on Linux and macOS")
    if isinstance(source.images, np.ndarray):
        return source
    return dataclasses.replace(source, images=ProcessImages(source.images, num_processes))


def serve(*descriptors: tuple[int, int]) -> None:
    """Runs a worker process: receives the images, then answers requests for batches until the connections close.

    The process decodes one batch at a time. It has a second request to continue with while the first batch is taken.

    Args:
      *descriptors: descriptors of each connection and of its memory; the images come through the first connection.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # See `flaxgan.train.run.exit_code.of`.
    lines = [(Connection(socket), _Memory(memory)) for socket, memory in descriptors]
    try:
        images, turn = lines[0][0].recv(), threading.Lock()
    except (EOFError, OSError):
        return
    for connection, memory in lines:
        threading.Thread(target=_answer, args=(connection, memory, images, turn)).start()


def _answer(connection: Connection, memory: _Memory, images: Images, turn: threading.Lock) -> None:
    while True:
        try:
            indices, shape = connection.recv()
            with turn:
                left_out = _read(images, indices, memory.rows(shape))
            connection.send(left_out)
        except (EOFError, OSError):
            return


def _read(images: Images, indices: Sequence[int], rows: np.ndarray) -> list[int]:
    """Fills the rows; returns those whose image raises an error, which the caller then meets in its own process."""
    left_out = []
    for row, index in enumerate(indices):
        try:
            rows[row] = images[index]
        except Exception:
            left_out.append(row)
    return left_out


def _start() -> list[_Line]:
    """Starts a worker process."""
    pairs = [socket.socketpair() for _ in range(LINES)]
    connections = [Connection(ours.detach()) for ours, _ in pairs]
    memories = [_Memory(_shared_file()) for _ in range(LINES)]
    descriptors = [(theirs.fileno(), memory.descriptor) for (_, theirs), memory in zip(pairs, memories, strict=True)]
    command = f"from flaxgan.data.pipeline import worker_processes; worker_processes.serve(*{descriptors})"
    # Workers stop when their connections close, and not when a terminal or a scheduler signals all processes of the
    # run: the run may need one more batch to end in order. A new process inherits the blocked signals of its parent.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            pass_fds=[number for both in descriptors for number in both],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for _, theirs in pairs:
            theirs.close()
    return [_Line(process, *line) for line in zip(connections, memories, strict=True)]


def _shared_file() -> int:
    """Opens a file that vanishes when no process has it open; it is in memory where the system allows it (Linux)."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("flaxgan-images")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _end(lines: list[_Line]) -> None:
    for line in lines:
        line.connection.close()
    for line in lines:
        try:
            line.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            line.process.kill()
            line.process.wait()


def _ended(process: subprocess.Popen[bytes]) -> str:
    """Returns the message for a worker process that no longer answers."""
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return f"a process that decodes images does not answer; {_ELSE}"
    if code >= 0:
        return f"a process that decodes images has ended with exit code {code}; its output may show the reason. {_ELSE}"
    why = "; the memory of the host may be full" if code == -signal.SIGKILL else ""
    return f"a process that decodes images was killed by {signal.Signals(-code).name}{why}. {_ELSE}"
