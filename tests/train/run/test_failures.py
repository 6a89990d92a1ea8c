"""A run that meets a number that is not finite, and what can be found out about it afterwards."""

import json
import shutil

import numpy as np
import pytest
import tiny_runs

from flaxgan.train.checkpoints import store
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.run import failures
from flaxgan.train.step import binding


def _digest(path) -> str:
    return store.digest(store.read_all(store.locate(path)))


@pytest.fixture(scope="module")
def failed(tiny_run, tmp_path_factory):
    """(run folder, outcome) of a run that goes on from step 6 with a weight in D whose square is not a float32."""
    workdir = tmp_path_factory.mktemp("failed") / "run"
    shutil.copytree(tiny_run.workdir, workdir, ignore=shutil.ignore_patterns("checkpoints"))
    config = store.read_config(store.locate(tiny_run.workdir))
    target = compilation.abstract_state(binding.build(config, (8, 8, 3)), device_mesh.data_mesh())
    source = Checkpoints(tiny_run.workdir / "checkpoints", keep=3)
    state = source.restore(6, target)
    source.close()
    params = dict(state.d.params)
    params["b8"] = {**params["b8"], "conv0": {**params["b8"]["conv0"]}}
    weight = params["b8"]["conv0"]["weight"]
    params["b8"]["conv0"]["weight"] = weight.at[0, 0, 0, 0].set(1e30)
    poisoned = Checkpoints(workdir / "checkpoints", keep=3)
    poisoned.save(state.replace(d=state.d.replace(params=params)), config)
    poisoned.close()
    return workdir, tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data))


def test_the_step_and_the_phase_are_named_and_the_way_on(failed):
    workdir, outcome = failed
    assert outcome.code == 1
    first, second = outcome.err.splitlines()
    assert first.startswith("error: step 6, phase g_main: loss is ") and "gradient norm is " in first
    kept = f"Saved in {workdir}/failures/step_6: flaxgan replay {workdir} repeats that step"
    assert second == f"{kept} and finds the origin of the values"


def test_the_state_before_it_is_kept_though_it_was_noticed_later(failed):
    """Steps 6 and 7 have run before the tick that notices."""
    workdir, _ = failed
    assert [line["step"] for line in tiny_runs.read_lines(workdir / "log.jsonl")] == [2, 4, 6]
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["6"]
    kept = workdir / "failures" / "step_6"
    assert _digest(kept) == _digest(workdir)
    assert json.loads(tiny_runs.flaxgan("inspect", kept, "--json").out)["step"] == 6


def test_batch_and_key_are_kept(failed, tiny_run):
    folder = failures.locate(failed[0])
    failure, batch, fake_labels = failures.read(folder)
    assert (failure.step, failure.phase, failure.repeat, failure.seed) == (6, "g_main", 0, 0)
    assert failure.problem in failed[1].err and len(failure.key) == 2
    assert batch["images"].shape == (8, 8, 8, 3) and batch["images"].dtype == np.uint8
    assert set(batch["labels"]) <= {0, 1} and fake_labels.shape == (1, 8)
    # Class 1 is bright.
    means = batch["images"].mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(means > 120, batch["labels"] == 1)


def test_a_failure_without_flips_was_kept_with_its_images_flipped(failed, tmp_path):
    """Versions before the batch had "flip"."""
    shutil.copytree(failures.locate(failed[0]), tmp_path / "step_6")
    with np.load(tmp_path / "step_6" / "batch.npz") as arrays:
        older = {name: arrays[name] for name in arrays if name != "flip"}
    np.savez(tmp_path / "step_6" / "batch.npz", **older)
    _, batch, _ = failures.read(failures.locate(tmp_path / "step_6"))
    assert batch["flip"].dtype == np.bool_ and batch["flip"].shape == (8,) and not batch["flip"].any()


def test_replay_repeats_the_step_and_says_where_it_begins(failed):
    workdir, _ = failed
    outcome = tiny_runs.flaxgan("replay", workdir)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    named = {line[:12].strip(): line[13:] for line in lines if line[:1] != " "}
    problem = failures.read(failures.locate(workdir))[0].problem
    assert lines[0].startswith("step 6, phase g_main, seed 0, on 1 cpu")
    assert named["in training"].startswith(problem) and named["again"] == problem
    assert "\nstate before it finite\n" in outcome.out
    assert named["layers"].endswith("non-finite") and named["gradients"].endswith("non-finite")
    # The poisoned layer is only huge; its statistics and the layer after them are non-finite.
    assert lines[lines.index(f"layers       {named['layers']}") + 1].startswith("  Discriminator/b4/conv: ")
    assert "(inf) encountered in square, flaxgan/ops/minibatch_stddev.py:" in named["operation"]


def test_a_run_without_failures_is_refused(tiny_run):
    outcome = tiny_runs.flaxgan("replay", tiny_run.workdir)
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {tiny_run.workdir}: holds no failure; allowed: a run with a non-finite")


NESTED = b"[" * 100_000


def _of_another_type(data: bytes) -> bytes:
    """The step as text, and of an archive the flag that its first array is encrypted."""
    directory = data.find(b"PK\x01\x02")
    encrypted = data[: directory + 8] + b"\x01" + data[directory + 9 :]
    return data.replace(b'"step": 6', b'"step": "6"') if data.startswith(b"{") else encrypted


@pytest.mark.parametrize("name", ["failure.json", "batch.npz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04 no archive", b"\xff\xfe", NESTED, _of_another_type])
def test_a_damaged_failure_is_named(failed, tmp_path, name, content):
    shutil.copytree(failures.locate(failed[0]), tmp_path / "step_6")
    file = tmp_path / "step_6" / name
    file.write_bytes(content(file.read_bytes()) if callable(content) else content)
    outcome = tiny_runs.flaxgan("replay", tmp_path / "step_6")
    assert outcome.code == 1 and outcome.err.startswith(f"error: {tmp_path}/step_6/{name}: damaged: ")
    assert outcome.err.count("\n") == 1
