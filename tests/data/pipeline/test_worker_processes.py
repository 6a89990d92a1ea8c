"""Images that other processes decode are those that this one would have decoded, and the processes end with it."""

import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny_runs

from flaxgan.data import errors, open_source
from flaxgan.data.pipeline import batching, memory_cache, worker_processes
from flaxgan.data.source import Source

SHAPE = (6, 4, 3)
BATCH = {"batch_size": 8, "seed": 3, "mirror": True}


@pytest.fixture
def folder(tmp_path):
    return tiny_runs.write_folder(tmp_path / "images", SHAPE)


@pytest.fixture
def source(folder):
    return open_source("folder", folder, num_classes=2)


def _take(source: Source, count: int, num_threads: int = 4) -> list[batching.Batch]:
    batches = batching.batches(source, num_threads=num_threads, **BATCH)
    found = [next(batches) for _ in range(count)]
    batches.close()
    return found


def _assert_same(one: list[batching.Batch], two: list[batching.Batch]) -> None:
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first["images"], second["images"])
        np.testing.assert_array_equal(first["labels"], second["labels"])
        np.testing.assert_array_equal(first["flip"], second["flip"])


@pytest.mark.parametrize("num_processes", [1, 2])
def test_batches_are_those_of_threads(source, num_processes):
    spread = worker_processes.spread(source, num_processes)
    _assert_same(_take(spread, 6), _take(source, 6))
    assert len(spread.images.started) == num_processes


@pytest.mark.parametrize("kind", ["zip", "array_record"])
def test_sets_are_opened_again_there(folder, tmp_path, kind):
    path = tmp_path / {"zip": "set.zip", "array_record": "set"}[kind]
    assert tiny_runs.flaxgan("dataset", folder, path, "--format", kind).code == 0
    source = open_source(kind, path, num_classes=2)
    _assert_same(_take(worker_processes.spread(source, 1), 4), _take(source, 4))


@pytest.mark.parametrize("room", [0.5, 4.5, 1000])
def test_what_is_kept_is_not_asked_for(source, room):
    images = int(np.prod(SHAPE)) + 300
    spread = memory_cache.keep(worker_processes.spread(source, 1), room * images / 2**30)
    expected = _take(source, 2 * tiny_runs.NUM_IMAGES // 8 + 1)
    _assert_same(_take(spread, len(expected), num_threads=1), expected)
    if room > tiny_runs.NUM_IMAGES:
        asked = []
        spread.images._images.read_into = lambda *arguments: asked.append(arguments)
        _assert_same(_take(spread, len(expected), num_threads=1), expected)
        assert not asked


def test_an_image_that_cannot_be_used_is_named_here(folder):
    damaged = sorted(folder.rglob("*.png"))[3]
    damaged.write_bytes(damaged.read_bytes()[:-30])
    spread = worker_processes.spread(open_source("folder", folder, num_classes=2), 1)
    with pytest.raises(errors.ImageError, match=f"{damaged.name}: the image"):
        _take(spread, tiny_runs.NUM_IMAGES // 8 + 1)
    skipping = open_source("folder", folder, num_classes=2, on_error="skip")
    spread = worker_processes.spread(skipping, 1)
    count = 2 * tiny_runs.NUM_IMAGES // 8
    _assert_same(_take(spread, count), _take(open_source("folder", folder, num_classes=2, on_error="skip"), count))
    assert len(skipping.skipped) == 1 and damaged.name in skipping.skipped.summary()


def test_what_lies_in_memory_stays_here():
    digits = open_source("digits", None)
    assert worker_processes.spread(digits, 2) is digits


def test_any_source_that_reads_its_images_can_be_spread():
    noise = open_source("synthetic", None, resolution=8, num_classes=2)
    spread = worker_processes.spread(noise, 1)
    _assert_same(_take(spread, 2), _take(noise, 2))
    assert len(spread.images.started) == 1


def _take_until_it_ends(spread: Source, how: str) -> None:
    batches = batching.batches(spread, num_threads=1, **BATCH)
    with pytest.raises(ChildProcessError, match=how):
        for _ in range(20):
            next(batches)
    batches.close()


def test_one_that_is_killed_is_named(source):
    spread = worker_processes.spread(source, 1)
    _take(spread, 1)
    (process,) = spread.images.started
    process.kill()
    _take_until_it_ends(
        spread,
        "was killed by SIGKILL; the memory of the host may be full. config.data.workers='threads' needs no processes",
    )


def test_those_that_cannot_be_started_are_named(source, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    _take_until_it_ends(
        worker_processes.spread(source, 1), r"cannot be started \(.*/no/such/python'\); config.data.workers='threads'"
    )


def test_one_that_ends_by_itself_is_named(source, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    how = "has ended with exit code 1; its output may show the reason|cannot be started"  # whichever is seen first
    _take_until_it_ends(worker_processes.spread(source, 1), how)


def test_signals_for_all_processes_of_a_run_do_not_end_them(source):
    spread = worker_processes.spread(source, 1)
    expected = _take(source, 4)
    _assert_same(_take(spread, 4), expected)
    (process,) = spread.images.started
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    time.sleep(0.2)
    assert process.poll() is None
    _assert_same(_take(spread, 4), expected)


def test_they_end_with_the_images_and_take_nothing_with_them(source):
    before = set(os.listdir("/proc/self/fd"))
    spread = worker_processes.spread(source, 2)
    _take(spread, 2)
    both = spread.images.started
    del spread  # A thread that has read ahead may still hold it.
    _wait_for(lambda: [process.returncode for process in both] == [0, 0])
    _wait_for(lambda: set(os.listdir("/proc/self/fd")) <= before)


def test_they_end_with_a_process_that_is_killed(folder):
    program = f"""
from flaxgan.data import open_source
from flaxgan.data.pipeline import batching, worker_processes
source = worker_processes.spread(open_source("folder", {str(folder)!r}, num_classes=2), 2)
batches = batching.batches(source, batch_size=8, seed=3, num_threads=2)
next(batches)
print(*[process.pid for process in source.images.started], flush=True)
while True:
    next(batches)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 2
    for pid in pids:
        _wait_for(lambda pid=pid: not os.path.exists(f"/proc/{pid}") or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "Z"


def _wait_for(condition) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be within 10 seconds")


def test_it_travels_without_its_processes(source):
    spread = worker_processes.spread(source, 1)
    _take(spread, 1)
    again = pickle.loads(pickle.dumps(spread.images))
    np.testing.assert_array_equal(again[3], source.images[3])
    assert len(again) == len(source)


def test_systems_that_cannot_block_signals_are_refused(source, monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    with pytest.raises(ValueError, match="config.data.workers: found 'processes', allowed: 'threads' on this system"):
        worker_processes.spread(source, 1)


def test_without_memory_files_a_file_that_is_gone_at_once_will_do(source, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    _assert_same(_take(worker_processes.spread(source, 1), 3), _take(source, 3))
