"""Runs in other processes that are killed in the middle of things."""

import random
import shutil

import tiny_runs

from benchmarks import soak


def test_a_run_that_was_killed_twice_ends_as_one_that_was_left_alone(tiny_run, tmp_path):
    """Once while a checkpoint is written, and once in training, with steps that no checkpoint has."""
    workdir = tmp_path / "run"
    arguments = tiny_runs.command("rgb", workdir, tiny_run.data)
    command = soak.Command(arguments, workdir, environment=tiny_runs.environment())
    delay = random.Random(5).expovariate(1 / 0.02)
    soak.survive(command, [lambda: soak.in_a_save(delay), lambda: soak.after_ticks(1)])
    assert soak.differences(tiny_run.workdir, workdir) == []


def test_differences_are_seen(tiny_run, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(tiny_run.workdir, other)
    shutil.rmtree(other / "checkpoints" / "12")
    lines = (other / "log.jsonl").read_text().splitlines(keepends=True)
    (other / "log.jsonl").write_text("".join(lines[:-1]))
    found = soak.differences(tiny_run.workdir, other)
    assert [text.split()[0] for text in found] == ["step:", "digest:", "log.jsonl"]
