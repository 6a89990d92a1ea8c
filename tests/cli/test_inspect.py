import json

import pytest
import tiny_runs

from flaxgan.train.checkpoints import store


def _facts(path) -> dict:
    outcome = tiny_runs.flaxgan("inspect", path, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_facts_of_a_run(tiny_run):
    facts = _facts(tiny_run.workdir)
    assert (facts["step"], facts["kimg"], facts["network"], facts["augment_p"]) == (12, 0.096, "stylegan2", 0.0)
    assert facts["checkpoint"] == str(tiny_run.workdir / "checkpoints" / "12")
    arrays = store.read_all(store.locate(tiny_run.workdir))
    assert facts["digest"] == store.digest(arrays) and len(facts["digest"]) == 64
    assert facts["g_parameters"] > 1000 and facts["d_parameters"] > 1000


def test_a_checkpoint_can_be_named(tiny_run):
    last, first = (tiny_run.workdir / "checkpoints" / step for step in ("12", "6"))
    assert _facts(last) == _facts(tiny_run.workdir) == _facts(tiny_run.workdir / "checkpoints")
    assert _facts(first)["step"] == 6 and _facts(first)["digest"] != _facts(last)["digest"]


def test_lines_for_a_person_to_read(tiny_run):
    facts = _facts(tiny_run.workdir)
    lines = dict(line.split(maxsplit=1) for line in tiny_runs.flaxgan("inspect", tiny_run.workdir).out.splitlines())
    assert lines["digest"] == facts["digest"] and lines["step"] == "12" and lines["kimg"] == "0.096"
    assert lines["g_parameters"] == f"{facts['g_parameters']:,}"


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_what_is_no_run_is_refused(tmp_path, make):
    make(tmp_path / "run")
    outcome = tiny_runs.flaxgan("inspect", tmp_path / "run")
    assert outcome.code == 1 and outcome.err.startswith(f"error: {tmp_path / 'run'}: ")
    assert "allowed: a run folder or a checkpoint" in outcome.err
