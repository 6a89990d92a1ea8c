"""A run that grows: its optimizers restart where a fade begins and where it ends, interrupted or not."""

import pathlib
import shutil

import pytest
import tiny_runs

from flaxgan.train.checkpoints import store

BATCH, STABILIZE, FADE, LAST = 8, 2, 3, 4
STEPS = STABILIZE + FADE + LAST
RECIPE = tiny_runs.ROOT / "configs" / "pggan_celebahq1024.py:tiny"


def _arguments(workdir: pathlib.Path) -> list[str]:
    """4x4 for 2 steps, 3 steps of fade to 8x8, and 4 more, with a checkpoint after every step."""
    kimg = BATCH / 1000
    fields = {
        "batch_size": BATCH,
        "data.resolution": 8,
        "network.channel_base": 32,
        "network.z_dim": 8,
        "growth.stabilize_kimg": STABILIZE * kimg,
        "growth.fade_kimg": FADE * kimg,
        "total_kimg": STEPS * kimg,
        "snapshot_kimg": kimg,
        "tick_kimg": kimg,
        "keep_checkpoints": STEPS,
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()] + ["--config.metrics"]
    return ["--config", str(RECIPE), "--workdir", str(workdir), *flags]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("growth") / "run"
    outcome = tiny_runs.train(_arguments(folder))
    assert outcome.code == 0, outcome.err
    return folder


def test_both_optimizers_restart_where_a_fade_begins_and_where_it_ends(workdir):
    """The number of their updates, after each step."""
    for network in ("g", "d"):
        saved = [store.read_all(workdir / "checkpoints" / str(step)) for step in range(1, STEPS + 1)]
        assert [int(one[network]["opt_state"]["0"]["count"]) for one in saved] == [1, 2, 1, 2, 3, 1, 2, 3, 4]


@pytest.mark.parametrize("step", [STABILIZE, STABILIZE + FADE - 1, STABILIZE + FADE])
def test_a_run_that_was_killed_at_or_beside_a_restart_ends_as_one_that_was_left_alone(workdir, tmp_path, step):
    again = tmp_path / "run"
    shutil.copytree(workdir, again)
    for later in range(step + 1, STEPS + 1):
        shutil.rmtree(again / "checkpoints" / str(later))
    outcome = tiny_runs.train(_arguments(again))
    assert outcome.code == 0, outcome.err
    assert f"at step {step}" in outcome.out
    digest = lambda folder: store.digest(store.read_all(store.locate(folder)))
    assert digest(again) == digest(workdir)
    losses = lambda folder: [line["losses"] for line in tiny_runs.read_lines(folder / "log.jsonl")]
    assert losses(again) == losses(workdir)
