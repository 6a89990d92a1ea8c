import logging
import sys
import threading
import time
import types

import pytest

from flaxgan.train.checkpoints import quiet as module
from flaxgan.train.checkpoints.quiet import quiet, stay_quiet


@pytest.fixture(autouse=True)
def loud(monkeypatch):
    """Nobody is quiet when a test begins: errors in other tests keep the process so for a while."""
    monkeypatch.setattr(module, "_silence", module._Silence())
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    for name in ("absl", "asyncio"):
        monkeypatch.setattr(logging.getLogger(name), "filters", [])


def _record(path: str, message: str = "") -> logging.LogRecord:
    return logging.LogRecord("absl", logging.ERROR, path, 1, message, None, None)


def _passes(record) -> bool:
    return bool(logging.getLogger("absl").filter(record))


def test_records_of_orbax_are_hidden_and_those_of_others_pass():
    with quiet():
        assert not _passes(_record("/site-packages/orbax/checkpoint/x.py"))
        assert not _passes(_record("/asyncio/base_events.py", "Task exception of /orbax/checkpoint/x.py"))
        assert _passes(_record("/other/x.py", "an error"))
    assert _passes(_record("/site-packages/orbax/checkpoint/x.py"))


def test_after_the_last_of_nested_blocks_in_any_threads_everything_is_as_before():
    before = sys.unraisablehook, list(logging.getLogger("absl").filters), list(logging.getLogger("asyncio").filters)
    entered, may_leave = threading.Event(), threading.Event()

    def work():
        with quiet():
            entered.set()
            may_leave.wait(60)

    thread = threading.Thread(target=work)
    with quiet(), quiet():
        thread.start()
        assert entered.wait(60)
    assert not _passes(_record("/orbax/x.py")) and sys.unraisablehook is not before[0]
    may_leave.set()
    thread.join()
    after = sys.unraisablehook, logging.getLogger("absl").filters, logging.getLogger("asyncio").filters
    assert after == before


def test_a_hook_that_another_program_installs_meanwhile_stays_and_sees_other_errors(monkeypatch):
    seen = []
    unraisable = lambda text: types.SimpleNamespace(object=None, exc_value=RuntimeError(text))
    monkeypatch.setattr(sys, "unraisablehook", lambda found: seen.append(str(found.exc_value)))
    with quiet():
        sys.unraisablehook(unraisable("Event loop is closed"))
        sys.unraisablehook(unraisable("1"))
        inner = sys.unraisablehook
        other = lambda found: inner(found)
        sys.unraisablehook = other
    assert sys.unraisablehook is other
    for _ in range(2):
        with quiet():
            sys.unraisablehook(unraisable("2"))
    sys.unraisablehook(unraisable("Event loop is closed"))
    assert seen == ["1", "2", "2", "Event loop is closed"]


def test_an_error_leaves_nothing_behind():
    before = sys.unraisablehook
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert sys.unraisablehook is before and _passes(_record("/orbax/x.py"))


def test_quiet_lasts_for_some_time_after_an_error():
    stay_quiet(0.2)
    assert not _passes(_record("/orbax/x.py"))
    deadline = time.monotonic() + 60
    while not _passes(_record("/orbax/x.py")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _passes(_record("/orbax/x.py")) and sys.unraisablehook is sys.__unraisablehook__
