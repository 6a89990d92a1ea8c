"""TensorBoard event files."""

import time

import numpy as np
from etils import epath
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from flaxgan.safe_write import naming


class Events:
    """One event file. It is written by the caller's own thread: a thread of its own would hide that a disk is full."""

    def __init__(self, folder: epath.Path, *, step: int):
        """Opens a file; what other files of the folder hold of this step and later ones is hidden.

        Args:
          folder: of the run.
          step: the first that is written.
        """
        self._writer = EventsWriter(str(folder / "events"))
        self._folder = folder
        self._write(step, file_version="brain.Event:2")
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Writes a number."""
        self._write(step, summary=summary.scalar(name, value))

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Writes a picture uint8 [H, W, C]."""
        self._write(step, summary=summary.image(name, picture, dataformats="HWC"))

    def flush(self) -> None:
        """Hands everything to the system."""
        with naming(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the file."""
        self._writer.close()

    def _write(self, step: int, **content) -> None:
        with naming(self._folder):
            self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
