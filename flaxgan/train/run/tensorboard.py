"""TensorBoard event files."""

import time
from typing import Any

import numpy as np
from etils import epath
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from flaxgan.safe_write import naming


class Events:
    """One event file, written on the thread of the caller, so that a full disk raises an error there."""

    def __init__(self, folder: epath.Path, *, step: int) -> None:
        """Opens a new file. TensorBoard then ignores events of this step and later ones in earlier files.

        Args:
          folder: the run folder.
          step: the first step that is written.
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
        """Writes all buffered events."""
        with naming(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the file."""
        self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        with naming(self._folder):
            self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
