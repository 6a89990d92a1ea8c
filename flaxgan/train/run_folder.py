"""The run folder: its files, its config, and the log that is continued after an interruption."""

import dataclasses
import json
from typing import Any

from etils import epath

from flaxgan.config import Config, DataConfig, differences, from_json, to_json
from flaxgan.train import hosts

MOVABLE_FIELDS = ("data.path", "data.num_threads", "data.hint")
"""Fields that may change when a run is continued elsewhere: they do not decide its course."""


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
        folder.config.write_text(to_json(config))
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
    changed = {name: pair for name, pair in differences(old, config).items() if name not in MOVABLE_FIELDS}
    if changed:
        fields = "\n".join(f"  {name}: {was!r} there, {now!r} here" for name, (was, now) in changed.items())
        raise ValueError(
            f"--workdir: {folder.root} holds a run of another config:\n{fields}\n"
            "Allowed: the same config, which continues that run, or another --workdir"
        )


def drop_after(path: epath.Path, step: int) -> None:
    """Removes the lines of a .jsonl file that lie after a step: they belong to work that was lost and is done again."""
    if not path.exists():
        return
    lines = [line for line in path.read_text().splitlines() if _step(line) <= step]
    path.write_text("".join(f"{line}\n" for line in lines))


def append(path: epath.Path, record: dict[str, Any]) -> None:
    """Adds one JSON object as a line."""
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def _step(line: str) -> float:
    """The step of a line; a line that was cut off in writing counts as lost."""
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")
