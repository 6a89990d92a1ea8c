import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from flaxgan.train.run import logs
from flaxgan.train.run.run_folder import RunFolder

RECORD = {
    "step": 250,
    "kimg": 8.0,
    "sec_per_kimg": 2.5,
    "losses": {"g_main": 0.71234, "d_main": 1.3},
    "statistics": {"d_main/real_logits": 0.1, "augment_p": 0.25, "pl_mean": 0.0},
    "memory_gib": 1.5,
    "data_wait_share": 0.034,
}


def _done(step, phase, scalars, *, all_finite=True) -> logs.PhaseRecord:
    return logs.PhaseRecord(step, phase, 0, scalars, jnp.bool_(all_finite))


def test_means_over_the_steps_and_rounds_of_a_tick():
    history = [
        _done(0, "g_main", {"loss": jnp.array([1.0, 3.0])}),
        _done(0, "d_main", {"loss": jnp.array([5.0, 5.0]), "real_logits": jnp.array([0.0, 1.0])}),
        _done(1, "g_main", {"loss": jnp.array([4.0, 4.0])}),
    ]
    assert logs.tick_means(history) == {"g_main/loss": 3.0, "d_main/loss": 5.0, "d_main/real_logits": 0.5}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_with_step_and_phase(value):
    bad = {"loss": jnp.array([1.0, value]), "gradient_norm": jnp.array([value]), "real_logits": jnp.zeros(2)}
    history = [_done(7, "g_main", {"loss": jnp.ones(2)}), _done(8, "d_r1", bad, all_finite=False)]
    history.append(_done(9, "g_main", {"loss": jnp.full(2, np.nan)}, all_finite=False))
    with pytest.raises(logs.NonFiniteError) as error:
        logs.tick_means(history)
    assert str(error.value) == f"step 8, phase d_r1: loss is {value}, gradient norm is {value}"
    assert (error.value.done.step, error.value.done.phase) == (8, "d_r1")


def test_a_state_that_is_not_finite_is_found_where_the_values_are():
    with pytest.raises(logs.NonFiniteError, match="step 3, phase g_main: the state after it is non-finite"):
        logs.tick_means([_done(3, "g_main", {"loss": jnp.ones(1)}, all_finite=False)])


def test_progress_line_says_where_the_run_is():
    line = logs.progress_line(RECORD, total_kimg=64.0, augments=False)
    for text in ("step 250", "kimg 8.0/64", "2.50 sec/kimg", "ETA 0:02:20", "g_main 0.7123", "d_main 1.3"):
        assert text in line
    assert "mem 1.50 GiB" in line and "data wait 3%" in line and "augment p" not in line
    assert "augment p 0.250" in logs.progress_line(RECORD, total_kimg=64.0, augments=True)


def test_time_to_the_end_is_never_negative():
    assert logs.eta({"kimg": 8.4, "sec_per_kimg": 2.5}, 8.0) == "0:00:00"
    assert logs.eta({"kimg": 0.0, "sec_per_kimg": 20000}, 8.0) == "1 day, 20:26:40"


def test_memory_is_that_of_this_process_where_devices_do_not_tell():
    assert 0.01 < logs.memory_gib() < 1000


@pytest.fixture
def folder(tmp_path):
    return RunFolder(epath.Path(tmp_path))


def _steps(path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def _continued(folder, *, step: int) -> None:
    """Another stretch of a run that starts at a step, and ticks and measures ten steps later."""
    log = logs.Logs(folder, step, total_kimg=64.0, augments=False)
    if step == 0:
        log.measured({"step": 0, "kimg": 0.0, "recall": 0.0})
    log.tick({**RECORD, "step": step + 10})
    log.measured({"step": step + 10, "kimg": 1.0, "recall": 0.5})
    log.grid("fakes", np.zeros((8, 8, 1), np.uint8), step + 10)
    log.close()


def test_tick_and_measures_are_printed_and_written(folder, capsys):
    _continued(folder, step=0)
    printed = capsys.readouterr().out
    assert "step 10" in printed and "measured: recall 0.500" in printed
    assert json.loads(folder.log.read_text()) == {**RECORD, "step": 10}
    assert list(folder.root.glob("events.out.tfevents.*"))


def test_lines_of_work_that_is_done_again_are_replaced(folder):
    _continued(folder, step=0)
    _continued(folder, step=10)
    assert _steps(folder.log) == [10, 20] and _steps(folder.metrics) == [0, 10, 20]
    _continued(folder, step=5)
    assert _steps(folder.log) == [15] and _steps(folder.metrics) == [0, 15]


def test_a_run_that_starts_again_starts_its_logs_again(folder):
    _continued(folder, step=0)
    _continued(folder, step=0)
    assert _steps(folder.log) == [10] and _steps(folder.metrics) == [0, 10]


def test_other_hosts_write_and_print_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    _continued(folder, step=0)
    assert capsys.readouterr().out == "" and not list(folder.root.iterdir())


def test_events_hold_losses_speed_measures_and_grids(folder):
    _continued(folder, step=0)
    (path,) = folder.root.glob("events.out.tfevents.*")
    data = path.read_bytes()
    for name in (b"train/g_main", b"train/sec_per_kimg", b"metrics/recall", b"fakes"):
        assert name in data


def test_a_full_disk_is_noticed_at_once(folder, monkeypatch):
    """As by any other file: a thread that writes would only stop."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(logs, "say", lambda text: None)  # What is printed here goes to a file, too.
    log = logs.Logs(folder, 0, total_kimg=64.0, augments=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large: '.*log.jsonl'"):
            log.tick(RECORD)
        log._events.image("fakes", np.zeros((8, 8, 3), np.uint8), 1)
        with pytest.raises(OSError, match="File too large"):
            log._events.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.close()


def test_a_log_that_cannot_be_written_to_is_found_at_the_start(folder):
    folder.log.mkdir()
    with pytest.raises(OSError, match="log.jsonl"):
        logs.Logs(folder, 0, total_kimg=64.0, augments=False)
