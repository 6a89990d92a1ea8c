"""Runs on several hosts: one process each, joined before anything else happens.

Every process runs the same program on the same config and draws its own rows of each global batch. What has to be equal
everywhere is compared, and a stop that one host is asked for is agreed on.
"""

import glob
import hashlib
import importlib.util
import os
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

STEPS_BETWEEN_AGREEMENTS = 10
"""Steps between two questions whether any host was asked to stop; each costs the slowest host a wait."""

VARIABLES = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
"""Environment variables that stand for the options of the same name."""

LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""Variables in which a launcher says how many processes it has started; JAX finds out the rest."""


_TEXT_BYTES = 2000

T = TypeVar("T")


class Cluster(NamedTuple):
    """Where the processes of a run meet; all None for a run of one process, or one that its launcher describes.

    Attributes:
      coordinator: HOST:PORT of process 0.
      num_processes: how many there are.
      process_id: which one this is, from 0.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def start(given: Cluster) -> None:
    """Joins the processes of a run, if there are several. To be called before JAX has touched a device.

    Args:
      given: from the command line. What it leaves out comes from the environment; without either, SLURM, Open MPI and
        Cloud TPU say it themselves.

    Raises:
      ValueError: if only a part is given, or it makes no sense.
    """
    cluster = _complete(given)
    if cluster.coordinator is not None:
        jax.distributed.initialize(*cluster)
    elif _launched_with_others() or _is_cloud_tpu():
        jax.distributed.initialize()


def require_same(what: str, text: str) -> None:
    """Refuses to go on unless a text is the same in all processes.

    Raises:
      ValueError: in every process, naming `what`.
    """
    if jax.process_count() == 1:
        return
    own = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    everyones = multihost_utils.process_allgather(own)
    others = [process for process, digest in enumerate(everyones) if not np.array_equal(digest, everyones[0])]
    if others:
        raise ValueError(
            f"{what}: found another one in process {others[0]} than in process 0, allowed: the same in all"
        )


def all_or_none(work: Callable[[], T]) -> T:
    """What some work gives that every process does by itself, once it has been done in all of them.

    Without this a process that fails would leave the others waiting for it.

    Raises:
      Exception: what the work raises here.
      ValueError: what it has raised in another process, as text.
    """
    if jax.process_count() == 1:
        return work()
    result, error = None, None
    try:
        result = work()
    except Exception as raised:
        error = raised
    problems = _everyones_text("" if error is None else f"{error}" or type(error).__name__)
    if error is not None:
        raise error
    for process, problem in enumerate(problems):
        if problem:
            raise ValueError(f"process {process}: {problem}")
    return result


def _everyones_text(text: str) -> list[str]:
    """The texts of all processes, cut where they are long."""
    own = np.zeros(_TEXT_BYTES, np.uint8)
    data = text.encode(errors="backslashreplace")[:_TEXT_BYTES]
    own[: len(data)] = np.frombuffer(data, np.uint8)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in multihost_utils.process_allgather(own)]


def wait_for_all(name: str) -> None:
    """Waits until every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


class Stop:
    """Whether the run should stop: signals that arrived here, or at any other host.

    Attributes:
      signals: the signals that this process has received.
    """

    def __init__(self):
        self.signals: list[int] = []

    def is_asked_of_one(self) -> bool:
        """Whether to stop a run of one process, which has to agree with nobody."""
        return bool(self.signals) and jax.process_count() == 1

    def is_agreed(self, step: int) -> bool:
        """Whether to stop before a step, the same answer in all processes, which must all ask."""
        if jax.process_count() == 1:
            return bool(self.signals)
        if step % STEPS_BETWEEN_AGREEMENTS:
            return False
        return bool(np.any(multihost_utils.process_allgather(np.array([bool(self.signals)]))))


def _complete(given: Cluster) -> Cluster:
    values = {field: _from_environment(field) if value is None else value for field, value in given._asdict().items()}
    missing = [field for field, value in values.items() if value is None]
    if len(missing) == len(values):
        return Cluster()
    if missing:
        flag = f"--{missing[0].replace('_', '-')}"
        allowed = (
            f"all of --coordinator, --num-processes and --process-id (or {', '.join(VARIABLES.values())}), or none"
        )
        raise ValueError(f"{flag}: missing, allowed: {allowed}")
    cluster = Cluster(**values)
    host, _, port = cluster.coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--coordinator: found {cluster.coordinator!r}, allowed: HOST:PORT of process 0")
    if cluster.num_processes < 1:
        raise ValueError(f"--num-processes: found {cluster.num_processes}, allowed: at least 1")
    if not 0 <= cluster.process_id < cluster.num_processes:
        raise ValueError(f"--process-id: found {cluster.process_id}, allowed: 0 to {cluster.num_processes - 1}")
    return cluster


def _from_environment(field: str) -> str | int | None:
    text = os.environ.get(VARIABLES[field])
    if not text or field == "coordinator":
        return text or None
    if not text.isdigit():
        raise ValueError(f"{VARIABLES[field]}: found {text!r}, allowed: a whole number")
    return int(text)


def _launched_with_others() -> bool:
    return any(os.environ.get(name, "1") not in ("", "0", "1") for name in LAUNCHERS)


def _is_cloud_tpu() -> bool:
    """Whether this machine has a TPU that JAX can use; a single TPU host is a cluster of one."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    has_chips = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
    may_use = not platforms or "tpu" in platforms
    return bool(may_use and has_chips and importlib.util.find_spec("libtpu"))
