"""The run folder: its files, its config, and logs that continue after an interruption."""

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
from flaxgan.errors import FieldError, Words
from flaxgan.safe_write import naming, write_whole
from flaxgan.train.checkpoints import store
from flaxgan.train.step import binding

RESUMED = "resumed.json"
"""File that notes from which earlier checkpoint the run has continued."""

SHARED_SECONDS = 60.0
"""Maximum time until a file that one host has written is visible to the others."""

MACHINE_FIELDS = ("data.path", "data.num_threads", "data.workers", "data.cache_gib", "data.hint")
"""Fields that may differ between machines. They do not affect the results, so a resumed run may change them."""

RETENTION_FIELDS = ("keep_checkpoints", "keep_every_kimg", "keep_best")
"""Fields that a resumed run may change, for example because the disk is full."""


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
        """Orbax checkpoints, one folder for each step."""
        return self.root / "checkpoints"

    @property
    def samples(self) -> epath.Path:
        """Image grids."""
        return self.root / "samples"

    @property
    def log(self) -> epath.Path:
        """One JSON object for each tick."""
        return self.root / "log.jsonl"

    @property
    def metrics(self) -> epath.Path:
        """One JSON object for each snapshot."""
        return self.root / "metrics.jsonl"

    @property
    def data(self) -> epath.Path:
        """The dataset fingerprint as JSON, see `flaxgan.data.fingerprint`."""
        return self.root / "data.json"

    @property
    def set_aside(self) -> epath.Path:
        """Later checkpoints that were moved here when the run continued from an earlier one."""
        return self.root / "set_aside"

    @property
    def failures(self) -> epath.Path:
        """Data to analyze steps with non-finite values, one folder for each step."""
        return self.root / "failures"


def require_same_run(folder: RunFolder, config: Config, data: Mapping[str, Any]) -> None:
    """Checks that a folder can hold a run. A folder of another run that has saved a checkpoint cannot.

    Args:
      folder: the folder, which need not exist.
      config: the completed config of the run.
      data: the dataset fingerprint, see `flaxgan.data.fingerprint`.

    Raises:
      ValueError: if the path is not a folder, or the folder holds a run of another config or of other images; the
        message names the fields that differ.
    """
    if folder.root.exists() and not folder.root.is_dir():
        raise ValueError(f"--workdir: cannot write to {folder.root}: it is not a folder")
    steps = store.steps(folder.checkpoints)
    old = _old_config(folder, steps)
    if not steps or old is None:
        return
    _check_same(folder, old, config)
    old_data = _read_json(folder.data)
    changed = {name: old_data[name] for name in old_data.keys() & data.keys() if old_data[name] != data[name]}
    if changed:
        found = ", ".join(f"{name} {data[name]} (there {was})" for name, was in sorted(changed.items()))
        raise ValueError(
            f"config.data: found other images than {folder.root} has been trained on: {found}\n"
            "Allowed: the same images, in any place, or another --workdir"
        )


def make(folder: RunFolder, config: Config, data: Mapping[str, Any]) -> None:
    """Creates the folder of a run and writes the config and the dataset fingerprint.

    Args:
      folder: the folder, which `check` allows.
      config: the completed config of the run.
      data: the dataset fingerprint.

    Raises:
      ValueError: if the folder cannot be written to.
    """
    try:
        folder.samples.mkdir(parents=True, exist_ok=True)
        write_whole(folder.config, to_json(config))
        write_whole(folder.data, json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise ValueError(f"--workdir: cannot write to {folder.root}: {error.strerror or error}") from error


def require_shared(folder: RunFolder, config: Config) -> None:
    """Checks that the config that process 0 has written is visible here; network drives take a while.

    Args:
      folder: the run folder.
      config: the completed config.

    Raises:
      FieldError: if the config is not visible in time.
    """
    deadline = time.monotonic() + SHARED_SECONDS
    while not _holds(folder, config):
        if time.monotonic() > deadline:
            found = Words(f"{folder.root}, which is not the folder that process 0 writes to")
            raise FieldError("--workdir", found, "a folder that all hosts share")
        time.sleep(0.1)


def _holds(folder: RunFolder, config: Config) -> bool:
    """Returns whether a folder has this config, apart from the fields of a machine."""
    try:
        written = from_json(folder.config.read_text())
        return machine_independent_json(written) == machine_independent_json(config)
    except (OSError, ValueError):
        return False


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Locks an existing folder for this program.

    Windows and drives without locks are not guarded.

    Raises:
      FieldError: if another program has locked the folder.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder.root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        found = Words(f"{folder.root}, which is in use by another program")
        raise FieldError("--workdir", found, "a folder that no other program uses") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def machine_independent_json(config: Config) -> str:
    """Returns the config as JSON, with the fields that may differ between machines at their defaults."""
    names = [name.removeprefix("data.") for name in MACHINE_FIELDS]
    defaults: dict[str, Any] = {name: getattr(DataConfig(), name) for name in names}
    return to_json(dataclasses.replace(config, data=dataclasses.replace(config.data, **defaults)))


def note_resumed(folder: RunFolder, step: int) -> None:
    """Notes that the run has continued from an earlier checkpoint, so that the same command does not do so again."""
    folder.set_aside.mkdir(parents=True, exist_ok=True)
    write_whole(folder.set_aside / RESUMED, json.dumps({"step": step}) + "\n")


def was_resumed(folder: RunFolder, step: int) -> bool:
    """Returns whether this is the earlier checkpoint from which the run has continued last."""
    return _read_json(folder.set_aside / RESUMED).get("step") == step


def _old_config(folder: RunFolder, steps: Sequence[int]) -> Config | None:
    """Reads the config of the run in a folder, or the config of its last checkpoint if the file is missing."""
    if not folder.config.exists():
        return store.read_config(folder.checkpoints / str(steps[-1])) if steps else None
    try:
        return from_json(folder.config.read_text())
    except ValueError as error:
        way = "Without this file the config of the last checkpoint is used" if steps else "Use another --workdir"
        raise ValueError(f"{folder.config}: {error}. {way}") from error


def _check_same(folder: RunFolder, old: Config, new: Config) -> None:
    may_change = {*MACHINE_FIELDS, *RETENTION_FIELDS}
    if new.g_optimizer.decay == new.d_optimizer.decay == "none":
        may_change.add("total_kimg")  # Only the end of the run depends on it then.
    found = differences(_with_all_options(old), _with_all_options(new))
    changed = {name: pair for name, pair in found.items() if name not in may_change}
    if changed:
        fields = "\n".join(f"  {name}: {was!r} there, {now!r} here" for name, (was, now) in changed.items())
        raise ValueError(
            f"--workdir: {folder.root} holds a run of another config:\n{fields}\n"
            "Allowed: the same config, which continues that run, or another --workdir"
        )


def _with_all_options(config: Config) -> Config:
    """Writes out the options that networks, losses and regularizers did not have when a config was written.

    A config with names that this version does not have stays as it is; the comparison shows them.
    """
    try:
        return binding.complete(config)
    except FieldError:
        return config


def _read_json(path: epath.Path) -> dict[str, Any]:
    """Reads a JSON object from a file; returns an empty one if the file is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def drop_after(path: epath.Path, step: int) -> None:
    """Removes the lines of a .jsonl file after a step. They belong to lost work, which is repeated."""
    if not path.exists():
        return
    text = path.read_bytes().decode(errors="replace")
    found = text.splitlines()
    lines = [line for line in found if _step(line) <= step]
    if lines != found or not text.endswith("\n"):
        write_whole(path, "".join(f"{line}\n" for line in lines))


def require_appendable(path: epath.Path) -> None:
    """Raises an OSError that names the file if it cannot be appended to; creates a missing file."""
    path.open("a").close()


def append(path: epath.Path, record: dict[str, Any]) -> None:
    """Appends one JSON object as a line.

    Raises:
      OSError: if the file cannot be written; the error names it.
    """
    with naming(path), path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def measured_names(folder: RunFolder) -> list[str]:
    """Reads the names of the values that the run has measured; returns none if there are none or they are damaged."""
    if not folder.metrics.exists():
        return []
    try:
        record = json.loads(folder.metrics.read_bytes().decode(errors="replace").splitlines()[0])
    except (ValueError, IndexError, RecursionError):
        return []
    return [name for name in record if name not in ("step", "kimg")] if isinstance(record, dict) else []


def _step(line: str) -> float:
    """Returns the step of a line, or inf if the line is incomplete or damaged and counts as lost."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf
    return step if isinstance(step, int | float) and not isinstance(step, bool) else math.inf
