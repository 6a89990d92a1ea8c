"""The run folder: its files, its config, and the log that is continued after an interruption."""

import dataclasses
import json
import math
from typing import Any

from etils import epath

from flaxgan.config import Config, DataConfig, differences, from_json, to_json
from flaxgan.train import hosts

MOVABLE_FIELDS = ("data.path", "data.num_threads", "data.hint")
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
    def set_aside(self) -> epath.Path:
        """Checkpoints that a run was not continued from although they are later."""
        return self.root / "set_aside"

    @property
    def failures(self) -> epath.Path:
        """What is needed to look into a step that made a number that is not finite, one folder a step."""
        return self.root / "failures"


def open_run(workdir: epath.PathLike, config: Config, *, write: bool = True) -> RunFolder:
    """Makes a run folder, or finds the one that the same config made before.

    Args:
      workdir: the folder.
      config: the completed config of the run.
      write: whether this process writes the files; in a run on several hosts one does.

    Raises:
      ValueError: if the folder is not writable, or belongs to a run of another config (the fields are named).
    """
    folder = RunFolder(epath.Path(workdir))
    if folder.config.exists():
        _check_same(folder, config)
    hosts.wait_for_all("run folder")  # Nobody reads a config that is being written.
    if not write:
        return folder
    try:
        folder.samples.mkdir(parents=True, exist_ok=True)
        write_whole(folder.config, to_json(config))
    except OSError as error:
        raise ValueError(f"--workdir: cannot write to {workdir}: {error.strerror or error}") from error
    return folder


def course(config: Config) -> str:
    """The config as text, without the fields that may change when a run is continued elsewhere."""
    movable = {name.removeprefix("data."): getattr(DataConfig(), name.removeprefix("data.")) for name in MOVABLE_FIELDS}
    return to_json(dataclasses.replace(config, data=dataclasses.replace(config.data, **movable)))


def _check_same(folder: RunFolder, config: Config) -> None:
    try:
        old = from_json(folder.config.read_text())
    except ValueError as error:
        raise ValueError(f"{folder.config}: {error}. Use another --workdir") from error
    may_change = (*MOVABLE_FIELDS, *RETENTION_FIELDS)
    changed = {name: pair for name, pair in differences(old, config).items() if name not in may_change}
    if changed:
        fields = "\n".join(f"  {name}: {was!r} there, {now!r} here" for name, (was, now) in changed.items())
        raise ValueError(
            f"--workdir: {folder.root} holds a run of another config:\n{fields}\n"
            "Allowed: the same config, which continues that run, or another --workdir"
        )


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file that is there as a whole or as it was before, whenever the program is killed."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


def drop_after(path: epath.Path, step: int) -> None:
    """Removes the lines of a .jsonl file that lie after a step: they belong to work that was lost and is done again."""
    if not path.exists():
        return
    found = path.read_bytes().decode(errors="replace").splitlines()
    lines = [line for line in found if _step(line) <= step]
    if lines != found:
        write_whole(path, "".join(f"{line}\n" for line in lines))


def require_appendable(path: epath.Path) -> None:
    """Raises OSError, naming the file, unless lines can be added to it; a missing one is made."""
    path.open("a").close()


def append(path: epath.Path, record: dict[str, Any]) -> None:
    """Adds one JSON object as a line.

    Raises:
      OSError: naming the file.
    """
    try:
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


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
