import os
import shutil
import signal
import threading

import pytest
import tiny_runs

from flaxgan.train.checkpoints import store
from flaxgan.train.programs import compilation
from flaxgan.train.run import logs


def _digest(workdir) -> str:
    return store.digest(store.read_all(store.locate(workdir)))


def _steps(workdir) -> list[int]:
    return [line["step"] for line in tiny_runs.read_lines(workdir / "log.jsonl")]


def _signalling(number: int, at_step: int):
    """A progress line that sends a signal to this process when a step is reached, as Ctrl-C would."""

    def line(record, **settings):
        if record["step"] == at_step:
            os.kill(os.getpid(), number)
        return f"step {record['step']}"

    return line


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tiny_run, tmp_path, monkeypatch, number, code):
    """The state is saved between two snapshots, and repeating the command goes on from it."""
    arguments = tiny_runs.command("rgb", tmp_path / "run", tiny_run.data)
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(logs, "progress_line", _signalling(number, at_step=4))
        stopped = tiny_runs.train(arguments)
    assert stopped.code == code and stopped.err == ""
    assert "stopping after this step" in stopped.out
    assert "stopped after step 4, saved; the same command continues" in stopped.out
    assert store.locate(tmp_path / "run").name == "4"
    assert signal.getsignal(number) is handler

    ended = tiny_runs.train(arguments)
    assert ended.code == 0 and "at step 4" in ended.out
    assert _digest(tmp_path / "run") == _digest(tiny_run.workdir)
    assert _steps(tmp_path / "run") == [2, 4, 6, 8, 10, 12]
    for found, expected in zip(tiny_runs.read_lines(tmp_path / "run" / "log.jsonl"), tiny_run.log(), strict=True):
        assert found["losses"] == expected["losses"]


def test_a_killed_run_goes_on_from_its_last_checkpoint(tiny_run, tmp_path):
    """As after a power cut: the last checkpoint is missing, and the log has lines that lie after it, one cut off."""
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run.workdir, workdir)
    (workdir / "checkpoints" / "12").rename(workdir / "checkpoints" / "12.orbax-checkpoint-tmp")
    with (workdir / "log.jsonl").open("a") as log:
        log.write('{"step": 14, "kimg"')
    ended = tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data))
    assert ended.code == 0 and "at step 6" in ended.out
    assert _digest(workdir) == _digest(tiny_run.workdir)
    assert _steps(workdir) == [2, 4, 6, 8, 10, 12]


def test_a_run_that_is_made_longer_ends_as_one_that_was_so_from_the_start(tiny_run, tmp_path):
    workdir = tmp_path / "run"
    short = tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data, "--config.total_kimg=0.048"))
    assert short.code == 0 and store.locate(workdir).name == "6", short.err
    longer = tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data))
    assert longer.code == 0 and "at step 6" in longer.out, longer.err
    assert _digest(workdir) == _digest(tiny_run.workdir)


def test_a_run_goes_on_with_processes_instead_of_threads(tiny_run, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run.workdir, workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    data = ["--config.data.workers=processes", "--config.data.num_threads=1", "--config.data.cache_gib=0"]
    outcome = tiny_runs.train([*tiny_runs.command("rgb", workdir, tiny_run.data), *data])
    assert outcome.code == 0 and "at step 6" in outcome.out, outcome.err
    assert _digest(workdir) == _digest(tiny_run.workdir)


def test_a_finished_run_has_nothing_to_do(tiny_run):
    before = (tiny_run.workdir / "log.jsonl").read_text()
    again = tiny_runs.train(tiny_run.arguments)
    assert again.code == 0 and "nothing to do" in again.out and "has reached 0.096 kimg" in again.out
    assert (tiny_run.workdir / "log.jsonl").read_text() == before


def test_interruption_during_compilation_ends_without_a_traceback(tiny_run, tmp_path, monkeypatch):
    def interrupted(*unused, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compilation, "init_state", interrupted)
        outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tiny_run.data))
    assert outcome.code == 130 and outcome.err == ""


class _SlowlyCompiled:
    """What compiles for long after it has sent SIGTERM to this process."""

    def __init__(self, ended: threading.Event):
        self._ended = ended

    def compile(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self._ended.wait(60)


def test_sigterm_during_compilation_ends_with_0_as_nothing_is_lost(tiny_run, tmp_path, monkeypatch):
    """What comes before it is there already: the first snapshot is made ahead of compilation."""
    handler = signal.getsignal(signal.SIGTERM)
    ended = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(compilation, "lower_all", lambda *unused: {("g_main", 1, 1): lambda: _SlowlyCompiled(ended)})
        outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tiny_run.data, "--config.tick_kimg=0.01"))
    ended.set()
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.endswith("stopped, with nothing to save; the same command starts again\n")
    assert (tmp_path / "run" / "samples" / "fakes000000.png").exists()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_damaged_image_found_while_training_is_named(tiny_run, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(tiny_run.data, data)
    damaged = data / "class1" / "013.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", data))
    assert outcome.code == 1 and outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert "013.png" in outcome.err and "damaged" in outcome.err
