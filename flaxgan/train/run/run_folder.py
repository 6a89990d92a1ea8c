"""The run folder: its files, its config, and the log that is continued after an interruption."""

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from etils import epath

from flaxgan.config import Config, DataConfig, differences, from_json, to_json
from flaxgan.safe_write import naming, write_whole
from flaxgan.train.checkpoints import store

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

RESUMED = "resumed.json"

SHARED_SECONDS = 60.0
"""How long what one host writes may take to be seen by the others."""

MOVABLE_FIELDS = ("data.path", "data.num_threads", "data.workers", "data.cache_gib", "data.hint")
"""Fields that may change when a run is continued elsewhere: they do not decide its course."""

RETENTION_FIELDS = ("keep_checkpoints", "keep_every_kimg", "keep_best")
"""Fields that may change when a run is continued, if only because the disk is full."""


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    root: epath.Path

    @property
    def config(self) -> epath.Path:
        """The run's completed config."""
        return self.root / "config.json"

    @property
    def checkpoints(self) -> epath.Path:
        """Orbax checkpoints, one folder a step."""
        return self.root / "checkpoints"

    @property
    def samples(self) -> epath.Path:
        """Grids of images."""
        return self.root / "samples"

    @property
    def log(self) -> epath.Path:
        """One JSON object a tick."""
        return self.root / "log.jsonl"

    @property
    def metrics(self) -> epath.Path:
        """One JSON object a snapshot."""
        return self.root / "metrics.jsonl"

    @property
    def data(self) -> epath.Path:
        """What tells the images of the run from others, as JSON; see `flaxgan.data.fingerprint`."""
        return self.root / "data.json"

    @property
    def set_aside(self) -> epath.Path:
        """Checkpoints that a run was not continued from although they are later."""
        return self.root / "set_aside"

    @property
    def failures(self) -> epath.Path:
        """What is needed to look into a step that made a number that is not finite, one folder a step."""
        return self.root / "failures"


def check(folder: RunFolder, config: Config, data: Mapping[str, Any]) -> None:
    """Refuses a folder that cannot hold a run: it is no folder, or holds another run that has saved something.

    Args:
      folder: the folder, which need not exist.
      config: the completed config of the run.
      data: what tells its images from others, see `flaxgan.data.fingerprint`.

    Raises:
      ValueError: naming the fields that differ.
    """
    if folder.root.exists() and not folder.root.is_dir():
        raise ValueError(f"--workdir: cannot write to {folder.root}: it is no folder")
    steps = store.steps(folder.checkpoints)
    old = _old_config(folder, steps)
    if not steps:
        return
    _check_same(folder, old, config)
    old_data = _read_json(folder.data)
    changed = {name: old_data[name] for name in old_data.keys() & data.keys() if old_data[name] != data[name]}
    if changed:
        found = ", ".join(f"{name} {data[name]} (there {was})" for name, was in sorted(changed.items()))
        raise ValueError(
            f"config.data: found other images than {folder.root} has been trained on: {found}\n"
            "Allowed: the same images, wherever they lie, or another --workdir"
        )


def make(folder: RunFolder, config: Config, data: Mapping[str, Any]) -> None:
    """Makes the folder of a run that `check` allows, and writes down what it is a run of.

    Raises:
      ValueError: if it cannot be written to.
    """
    try:
        folder.samples.mkdir(parents=True, exist_ok=True)
        write_whole(folder.config, to_json(config))
        write_whole(folder.data, json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise ValueError(f"--workdir: cannot write to {folder.root}: {error.strerror or error}") from error


def require_shared(folder: RunFolder, config: Config) -> None:
    """Raises ValueError unless the config that another host has written is here, too; network drives take a while."""
    deadline = time.monotonic() + SHARED_SECONDS
    while not _holds(folder, config):
        if time.monotonic() > deadline:
            found = f"--workdir: {folder.root} is not the folder that process 0 writes to"
            raise ValueError(f"{found}, allowed: one that all hosts see")
        time.sleep(0.1)


def _holds(folder: RunFolder, config: Config) -> bool:
    """Whether a folder has this config, but for where the data lie: that may be elsewhere on each host."""
    try:
        return course(from_json(folder.config.read_text())) == course(config)
    except (OSError, ValueError):
        return False


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Keeps a folder, which exists, for this program.

    Raises:
      ValueError: if another program does so already. Drives without locks are not guarded.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder.root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ValueError(f"--workdir: {folder.root} is in use by another program, allowed: one at a time") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def course(config: Config) -> str:
    """The config as text, without the fields that may change when a run is continued elsewhere."""
    movable = {name.removeprefix("data."): getattr(DataConfig(), name.removeprefix("data.")) for name in MOVABLE_FIELDS}
    return to_json(dataclasses.replace(config, data=dataclasses.replace(config.data, **movable)))


def note_resumed(folder: RunFolder, step: int) -> None:
    """Notes that a run was continued from an earlier checkpoint, which is done once."""
    folder.set_aside.mkdir(parents=True, exist_ok=True)
    write_whole(folder.set_aside / RESUMED, json.dumps({"step": step}) + "\n")


def was_resumed(folder: RunFolder, step: int) -> bool:
    """Whether the last time that a run was continued from an earlier checkpoint, it was this one."""
    return _read_json(folder.set_aside / RESUMED).get("step") == step


def _old_config(folder: RunFolder, steps: Sequence[int]) -> Config | None:
    """The config of the run that a folder holds; that of its last checkpoint if the file is gone."""
    if not folder.config.exists():
        return store.read_config(folder.checkpoints / str(steps[-1])) if steps else None
    try:
        return from_json(folder.config.read_text())
    except ValueError as error:
        way = "Without this file the config of the last checkpoint counts" if steps else "Use another --workdir"
        raise ValueError(f"{folder.config}: {error}. {way}") from error


def _check_same(folder: RunFolder, old: Config, new: Config) -> None:
    may_change = {*MOVABLE_FIELDS, *RETENTION_FIELDS}
    if new.g_optimizer.decay == new.d_optimizer.decay == "none":
        may_change.add("total_kimg")  # Then nothing but the end depends on it.
    changed = {name: pair for name, pair in differences(old, new).items() if name not in may_change}
    if changed:
        fields = "\n".join(f"  {name}: {was!r} there, {now!r} here" for name, (was, now) in changed.items())
        raise ValueError(
            f"--workdir: {folder.root} holds a run of another config:\n{fields}\n"
            "Allowed: the same config, which continues that run, or another --workdir"
        )


def _read_json(path: epath.Path) -> dict[str, Any]:
    """What a file of ours says; nothing if it is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def drop_after(path: epath.Path, step: int) -> None:
    """Removes the lines of a .jsonl file that lie after a step: they belong to work that was lost and is done again."""
    if not path.exists():
        return
    text = path.read_bytes().decode(errors="replace")
    found = text.splitlines()
    lines = [line for line in found if _step(line) <= step]
    if lines != found or not text.endswith("\n"):
        write_whole(path, "".join(f"{line}\n" for line in lines))


def require_appendable(path: epath.Path) -> None:
    """Raises OSError, naming the file, unless lines can be added to it; a missing one is made."""
    path.open("a").close()


def append(path: epath.Path, record: dict[str, Any]) -> None:
    """Adds one JSON object as a line.

    Raises:
      OSError: naming the file.
    """
    with naming(path), path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def measured_names(folder: RunFolder) -> list[str]:
    """The names of the values that a run has measured before; none of a new run, or if they cannot be read."""
    if not folder.metrics.exists():
        return []
    try:
        record = json.loads(folder.metrics.read_bytes().decode(errors="replace").splitlines()[0])
    except (ValueError, IndexError, RecursionError):
        return []
    return [name for name in record if name not in ("step", "kimg")] if isinstance(record, dict) else []


def _step(line: str) -> float:
    """The step of a line; a line that was cut off in writing, or is damaged, counts as lost."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf
    return step if isinstance(step, int | float) and not isinstance(step, bool) else math.inf
