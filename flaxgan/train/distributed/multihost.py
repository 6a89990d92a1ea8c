"""Training on several hosts, with one process on each.

Every process runs the same program on the same config and reads its own rows of each global batch. The processes join
before anything else happens. They compare what must be equal in all of them, and agree on when to stop.
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

from flaxgan.errors import FieldError, Words

STEPS_BETWEEN_AGREEMENTS = 10
"""Steps between two agreements on whether to stop; each agreement waits for the slowest host."""

VARIABLES = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
"""Environment variables that replace the options of the same name."""

LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""Variables in which a launcher gives the number of processes it has started; JAX detects the rest."""

_TEXT_BYTES = 2000

T = TypeVar("T")


class Cluster(NamedTuple):
    """Description of the processes; all None for a single process, or if a launcher describes them.

    Attributes:
      coordinator: HOST:PORT of process 0.
      num_processes: number of processes.
      process_id: index of this process, from 0.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def start(given: Cluster) -> None:
    """Joins the processes, if there are several. Must be called before JAX has initialized a device.

    Args:
      given: the options of the command line. Missing ones are taken from the environment. Without either, SLURM, Open
        MPI and Cloud TPU describe the processes.

    Raises:
      FieldError: if only some of the options are given, or a value is invalid.
    """
    cluster = _complete(given)
    if cluster is not None:
        jax.distributed.initialize(*cluster)
    elif _launched_with_others() or _is_cloud_tpu():
        jax.distributed.initialize()


def require_same(name: str, text: str) -> None:
    """Checks that a text is the same in all processes.

    Args:
      name: name of the text in the error.
      text: the text of this process.

    Raises:
      FieldError: in every process, if the texts differ.
    """
    if jax.process_count() == 1:
        return
    own = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    everyones = multihost_utils.process_allgather(own)
    others = [process for process, digest in enumerate(everyones) if not np.array_equal(digest, everyones[0])]
    if others:
        found = Words(f"another one in process {others[0]} than in process 0")
        raise FieldError(name, found, "the same in all")


def on_all_hosts(work: Callable[[], T]) -> T:
    """Calls a function in every process, and raises in all of them if it fails in one.

    Without this, the other processes would wait for the failed one.

    Args:
      work: the function, which must not communicate with other processes.

    Returns:
      The result of this process.

    Raises:
      Exception: the exception of this process.
      ValueError: the message of another process's exception.
    """
    if jax.process_count() == 1:
        return work()
    try:
        result = work()
    except Exception as error:
        _gather_texts(f"{error}" or type(error).__name__)
        raise
    for process, problem in enumerate(_gather_texts("")):
        if problem:
            raise ValueError(f"process {process}: {problem}")
    return result


def _gather_texts(text: str) -> list[str]:
    """Returns the texts of all processes; long ones are truncated."""
    own = np.zeros(_TEXT_BYTES, np.uint8)
    data = text.encode(errors="backslashreplace")[:_TEXT_BYTES]
    own[: len(data)] = np.frombuffer(data, np.uint8)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in multihost_utils.process_allgather(own)]


def wait_for_all(name: str) -> None:
    """Waits until every process has called this function with the same name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


class Stop:
    """Collects requests to stop, which are signals to any process.

    Attributes:
      signals: the signals that this process has received.
    """

    def __init__(self) -> None:
        self.signals: list[int] = []

    def is_asked_of_one(self) -> bool:
        """Returns whether a run of a single process is asked to stop; several processes have to agree first."""
        return bool(self.signals) and jax.process_count() == 1

    def is_agreed(self, step: int) -> bool:
        """Returns whether to stop before a step. All processes must call this, and all get the same answer."""
        if jax.process_count() == 1:
            return bool(self.signals)
        if step % STEPS_BETWEEN_AGREEMENTS:
            return False
        return bool(np.any(multihost_utils.process_allgather(np.array([bool(self.signals)]))))


def _complete(given: Cluster) -> tuple[str, int, int] | None:
    """Returns the coordinator, the number of processes and the index of this one, or None if nothing is given."""
    coordinator = given.coordinator
    if coordinator is None:
        coordinator = os.environ.get(VARIABLES["coordinator"]) or None
    num_processes = _count("num_processes", given.num_processes)
    process_id = _count("process_id", given.process_id)
    if coordinator is None and num_processes is None and process_id is None:
        return None
    if coordinator is None:
        raise _missing("--coordinator")
    if num_processes is None:
        raise _missing("--num-processes")
    if process_id is None:
        raise _missing("--process-id")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise FieldError("--coordinator", coordinator, "HOST:PORT of process 0")
    if num_processes < 1:
        raise FieldError("--num-processes", num_processes, "at least 1")
    if not 0 <= process_id < num_processes:
        raise FieldError("--process-id", process_id, f"0 to {num_processes - 1}")
    return coordinator, num_processes, process_id


def _missing(option: str) -> FieldError:
    variables = ", ".join(VARIABLES.values())
    return FieldError(
        option, None, f"all of --coordinator, --num-processes and --process-id (or {variables}), or none of them"
    )


def _count(field: str, given: int | None) -> int | None:
    """Returns a number of the command line, or else of the environment, or else None."""
    text = os.environ.get(VARIABLES[field])
    if given is not None or not text:
        return given
    if not text.isdigit():
        raise FieldError(VARIABLES[field], text, "a whole number")
    return int(text)


def _launched_with_others() -> bool:
    return any(os.environ.get(name, "1") not in ("", "0", "1") for name in LAUNCHERS)


def _is_cloud_tpu() -> bool:
    """Returns whether this machine has a TPU that JAX can use; a single TPU host is a cluster of one."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    has_chips = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
    may_use = not platforms or "tpu" in platforms
    return bool(may_use and has_chips and importlib.util.find_spec("libtpu"))
