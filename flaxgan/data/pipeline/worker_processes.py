"""Images that are decoded in processes of their own: threads of one process wait for each other's Python."""

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
import weakref
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from flaxgan.data.source import MirroredImages, Source

LINES = 2
"""Batches that a process is asked for at a time: one that it decodes, and one that is sent or comes next."""

_END_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ELSE = "data.workers='threads' needs none"


class _Memory:
    """Memory that two processes share, as long as one of them lives; it grows with what is asked of it.

    Attributes:
      descriptor: of the open file behind it.
    """

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        weakref.finalize(self, os.close, descriptor)

    def rows(self, shape: tuple[int, ...]) -> np.ndarray:
        """The memory as images of a shape, uint8 [N, H, W, C]."""
        num_bytes = math.prod(shape)
        if self._map is None or len(self._map) < num_bytes:
            if os.fstat(self.descriptor).st_size < num_bytes:
                os.ftruncate(self.descriptor, num_bytes)
            self._map = mmap.mmap(self.descriptor, num_bytes)
        return np.frombuffer(self._map, np.uint8, num_bytes).reshape(shape)


class _Line(NamedTuple):
    """A connection to a process that decodes."""

    process: subprocess.Popen
    connection: Connection
    memory: _Memory


class ProcessImages:
    """Images that are decoded by other processes when many are asked for; see `flaxgan.data.source.BatchedImages`.

    The processes start when images are first asked for. They end with this one, however it ends: they wait for what it
    asks, and then find the connection closed.

    Attributes:
      started: the processes, once they have started.
    """

    def __init__(self, images: MirroredImages, num_processes: int):
        """Decodes with so many processes, as many batches at a time."""
        self._images, self._num_processes = images, num_processes
        self.started: list[subprocess.Popen] = []
        self._lock = threading.Lock()
        self._idle: queue.SimpleQueue[_Line] | None = None

    def __reduce__(self) -> tuple:
        return ProcessImages, (self._images, self._num_processes)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images[index]

    def mirrored(self, index: int) -> np.ndarray:
        """The same, flipped left to right."""
        return self._images.mirrored(index)

    def read_into(self, indices: list[int], flips: list[bool], rows: np.ndarray) -> list[int]:
        """Reads many images, in one of the processes; see `flaxgan.data.source.BatchedImages`.

        Raises:
          ChildProcessError: if that process has ended, or none can be started.
        """
        idle = self._lines()
        line = idle.get()
        try:
            shared = line.memory.rows(rows.shape)
            line.connection.send((indices, flips, rows.shape))
            left = line.connection.recv()
            rows[...] = shared
        except (EOFError, OSError) as error:
            raise ChildProcessError(_ended(line.process)) from error
        finally:
            idle.put(line)
        return left

    def _lines(self) -> "queue.SimpleQueue[_Line]":
        with self._lock:
            if self._idle is None:
                try:
                    lines = self._start()
                except OSError as error:
                    raise ChildProcessError(
                        f"processes that decode images cannot be started ({error}); {_ELSE}"
                    ) from error
                self._idle = queue.SimpleQueue()
                for line in lines:
                    self._idle.put(line)
            return self._idle

    def _start(self) -> list[_Line]:
        """The lines to all processes, the first to each of them before the second ones."""
        processes = [_start() for _ in range(self._num_processes)]
        lines = [line for of_each in zip(*processes, strict=True) for line in of_each]
        weakref.finalize(self, _end, lines)
        self.started = [process for (process, _, _), *_ in processes]
        for line in lines[: self._num_processes]:
            line.connection.send(self._images)
        return lines


def spread(source: Source, num_processes: int) -> Source:
    """The same source, with batches of images decoded by other processes.

    Args:
      source: what lies in memory already stays as it is.
      num_processes: how many, 1 or more.

    Raises:
      ValueError: where the system does not let a process begin with its signals blocked (Windows).
    """
    if not hasattr(signal, "pthread_sigmask"):
        raise ValueError("data.workers='processes' needs Linux or macOS; allowed here: threads")
    if not isinstance(source.images, MirroredImages):
        return source
    return dataclasses.replace(source, images=ProcessImages(source.images, num_processes))


def serve(*descriptors: tuple[int, int]) -> None:
    """What such a process does: it gets the images, and then reads those that it is asked for until it is left alone.

    It decodes one batch at a time, and has another to go on with while that one is taken.

    Args:
      *descriptors: of each connection and its memory; the images come through the first.
    """
    lines = [(Connection(socket), _Memory(memory)) for socket, memory in descriptors]
    try:
        images, turn = lines[0][0].recv(), threading.Lock()
    except (EOFError, OSError):
        return
    for connection, memory in lines:
        threading.Thread(target=_answer, args=(connection, memory, images, turn)).start()


def _answer(connection: Connection, memory: _Memory, images: MirroredImages, turn: threading.Lock) -> None:
    while True:
        try:
            indices, flips, shape = connection.recv()
            with turn:
                left = _read(images, indices, flips, memory.rows(shape))
            connection.send(left)
        except (EOFError, OSError):
            return


def _read(images: MirroredImages, indices: list[int], flips: list[bool], rows: np.ndarray) -> list[int]:
    """Fills the rows, but for those that it returns: who reads these again, where it can be told, sees the error."""
    left = []
    for row, (index, flip) in enumerate(zip(indices, flips, strict=True)):
        try:
            rows[row] = images.mirrored(index) if flip else images[index]
        except Exception:
            left.append(row)
    return left


def _start() -> list[_Line]:
    """Starts a process."""
    pairs = [socket.socketpair() for _ in range(LINES)]
    connections = [Connection(ours.detach()) for ours, _ in pairs]
    memories = [_Memory(_shared_file()) for _ in range(LINES)]
    descriptors = [(theirs.fileno(), memory.descriptor) for (_, theirs), memory in zip(pairs, memories, strict=True)]
    command = f"from flaxgan.data.pipeline import worker_processes; worker_processes.serve(*{descriptors})"
    # They stop when they are left alone, and not when a terminal or a scheduler signals all processes of a run: the run
    # may still need a batch to end well. A new process begins with the signals that its maker has blocked.
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
    """A file that is gone when no process has it open; in memory, where the system has such files (Linux)."""
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


def _ended(process: subprocess.Popen) -> str:
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return f"a process that decodes images does not answer; {_ELSE}"
    if code >= 0:
        return (
            f"a process that decodes images has ended with exit code {code}; what it has printed may say why. {_ELSE}"
        )
    why = "; the host's memory may be full" if code == -signal.SIGKILL else ""
    return f"a process that decodes images was killed by {signal.Signals(-code).name}{why}. {_ELSE}"
