import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
import pytest
import tiny_runs

from flaxgan.train.checkpoints import store
from flaxgan.train.distributed import multihost
from flaxgan.train.recipes import flags

RECIPE = pathlib.Path(__file__).parents[1] / "hosts_recipe.py"
DEADLINE_SECONDS = 300


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def _processes(workdir: pathlib.Path, *overrides: str, count: int = 2, second: Sequence[str] = ()):
    """The program on as many hosts as there are processes, with two devices each; the second has more overrides."""
    port, started = _free_port(), []
    for process in range(count):
        cluster = [f"--coordinator=127.0.0.1:{port}", f"--num-processes={count}", f"--process-id={process}"]
        own = [*cluster, *overrides, *(second if process == 1 else ())]
        command = [sys.executable, "train.py", "--config", str(RECIPE), "--workdir", str(workdir), *own]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, env=tiny_runs.environment(devices=2), cwd=tiny_runs.ROOT, **pipes))
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdout.close()


def _finished(workdir: pathlib.Path) -> list[str]:
    """What each process of a run to its end has printed."""
    with _processes(workdir) as processes:
        printed = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], "\n".join(printed)
    return printed


def _until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it has taken too long"
        time.sleep(0.02)


def _state(workdir: pathlib.Path) -> tuple[str, list[dict]]:
    digest = store.digest(store.read_all(store.locate(workdir)))
    return digest, [line["losses"] for line in tiny_runs.read_lines(workdir / "log.jsonl")]


def test_two_processes_killed_and_started_again_end_like_two_that_were_not(tmp_path):
    printed = _finished(tmp_path / "whole")
    assert "4 cpu" in printed[0] and "step 40" in printed[0] and "step" not in printed[1]
    steps = [line["step"] for line in tiny_runs.read_lines(tmp_path / "whole" / "log.jsonl")]
    assert steps == list(range(5, 41, 5))

    killed = tmp_path / "killed"
    with _processes(killed) as processes:
        _until(lambda: (killed / "checkpoints" / "10").exists())
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
    latest = int(store.locate(killed).name)
    alone = tmp_path / "alone"
    shutil.copytree(killed, alone)
    assert f"at step {latest}" in _finished(killed)[0]
    assert _state(killed) == _state(tmp_path / "whole")

    # One process with one device goes on from there, too: the same losses, but for the order of sums.
    outcome = tiny_runs.train(["--config", str(RECIPE), "--workdir", str(alone)])
    assert outcome.code == 0 and f"at step {latest}" in outcome.out, outcome.err
    _assert_same_losses(alone, killed)

    # And two processes with four devices go on from where one has come to.
    single = tmp_path / "single"
    outcome = tiny_runs.train(["--config", str(RECIPE), "--workdir", str(single)])
    assert outcome.code == 0, outcome.err
    shutil.rmtree(single / "checkpoints" / "40")
    assert "at step 30" in _finished(single)[0]
    _assert_same_losses(single, killed)


def _assert_same_losses(run: pathlib.Path, other: pathlib.Path) -> None:
    """At every tick of both, but for noise."""
    for one, two in zip(_state(run)[1], _state(other)[1], strict=True):
        np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=2e-3)


def test_a_stop_that_one_process_is_asked_for_is_agreed_on(tmp_path):
    run = tmp_path / "run"
    with _processes(run, "--config.total_kimg=100") as processes:
        _until(lambda: (run / "log.jsonl").exists() and tiny_runs.read_lines(run / "log.jsonl"))
        processes[1].send_signal(signal.SIGTERM)
        printed = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], "\n".join(printed)
    assert "saved; the same command continues" in printed[0]
    assert int(store.locate(run).name) % multihost.STEPS_BETWEEN_AGREEMENTS == 0


@pytest.mark.parametrize("problem", ["missing", "other"])
def test_data_that_are_wrong_on_one_host_end_all_of_them(tmp_path, problem):
    """Each says what is wrong, and none waits for another."""
    tiny_runs.write_folder(tmp_path / "one", (8, 8, 1))
    messages = ["process 1: ", "does not exist"]
    if problem == "other":
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        next((tmp_path / "two" / "class1").iterdir()).unlink()
        messages = ["data: found another one in process 1 than in process 0"] * 2
    second = [f"--config.data.path={tmp_path / 'two'}"]
    overrides = ["--config.data.source=folder", f"--config.data.path={tmp_path / 'one'}", "--config.data.num_classes=0"]
    with _processes(tmp_path / "run", *overrides, second=second) as processes:
        printed = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in processes]
    assert [process.returncode for process in processes] == [1, 1], "\n".join(printed)
    for text, message in zip(printed, messages, strict=True):
        assert "error: " in text and message in text and "Traceback" not in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--num-processes=2"], "--coordinator: found None, allowed: all of --coordinator, --num-processes and"),
        (["--coordinator=here:1", "--num-processes=2"], "--process-id: found None, allowed: all of"),
        (
            ["--coordinator=1234", "--num-processes=2", "--process-id=0"],
            "--coordinator: found '1234', allowed: HOST:PORT",
        ),
        (
            ["--coordinator=here:1", "--num-processes=0", "--process-id=0"],
            "--num-processes: found 0, allowed: at least 1",
        ),
        (["--coordinator=here:1", "--num-processes=2", "--process-id=2"], "--process-id: found 2, allowed: 0 to 1"),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused(arguments, message):
    outcome = tiny_runs.train(["--config", str(RECIPE), *arguments])
    assert outcome.code == 1 and f"error: {message}" in outcome.err


def test_command_line_comes_before_the_environment(monkeypatch):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given: joined.append(given))
    for field, value in (("coordinator", "there:5"), ("num_processes", "4"), ("process_id", "1")):
        monkeypatch.setenv(multihost.VARIABLES[field], value)
    multihost.start(multihost.Cluster())
    multihost.start(flags.cluster(["--process-id", "3", "--config", "any.py"]))
    assert joined == [("there:5", 4, 1), ("there:5", 4, 3)]
    monkeypatch.setenv("JAX_PROCESS_ID", "one")
    with pytest.raises(ValueError, match="JAX_PROCESS_ID: found 'one', allowed: a whole number"):
        multihost.start(multihost.Cluster())


@pytest.mark.parametrize(
    "name, value, joins", [("SLURM_STEP_NUM_TASKS", "8", True), ("OMPI_COMM_WORLD_SIZE", "1", False)]
)
def test_launchers_say_how_many_there_are(monkeypatch, name, value, joins):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given: joined.append(given))
    monkeypatch.setenv(name, value)
    multihost.start(multihost.Cluster())
    assert joined == [()] * joins


def test_another_config_in_another_process_is_refused_everywhere(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    gathered = lambda own: np.stack([own, own])
    monkeypatch.setattr(multihost.multihost_utils, "process_allgather", lambda own: gathered(own))
    multihost.require_same("config", json.dumps({"seed": 0}))
    gathered = lambda own: np.stack([own, own + 1])
    with pytest.raises(ValueError, match="config: found another one in process 1 than in process 0, allowed: the same"):
        multihost.require_same("config", json.dumps({"seed": 0}))


def test_stop_is_asked_of_all_every_few_steps(monkeypatch):
    stop = multihost.Stop()
    assert not stop.is_agreed(3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost.multihost_utils, "process_allgather", lambda own: np.stack([own, [True]]))
    assert [step for step in range(25) if stop.is_agreed(step)] == [0, 10, 20]
