"""Conversions for tests: small sources, plans, and a program that kills itself in the middle."""

import dataclasses
import hashlib
import pathlib
import subprocess
import sys

import numpy as np

from flaxgan.data import open_source
from flaxgan.data.conversion import convert_dataset, work_dir
from flaxgan.data.source import Source

ROOT = pathlib.Path(__file__).parent.parent

# Ends in SIGKILL where data would go to the disk for the N-th time: between any two steps of a commit.
KILLED_AT_FSYNC = """
import os, signal
calls = 0
def counted(descriptor):
    global calls
    calls += 1
    if calls == {n}:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = counted
"""


def noise(count: int) -> Source:
    """Images of noise, 8x8, in three classes."""
    source = open_source("synthetic", "", resolution=8, num_classes=3)
    images = np.stack([source.images[index] for index in range(count)])
    return dataclasses.replace(source, images=images, labels=source.labels[:count])


def plan_of(source: Source, form: str, **changes) -> work_dir.Plan:
    fields = {"kind": "synthetic", "path": "", "crop": "none", "resize": "none"} | changes
    return work_dir.plan(source, form=form, **fields)


def convert(source: Source, dest: pathlib.Path, form: str, *, workers: int = 2, **options):
    changes = options.pop("changes", {})
    return convert_dataset.convert(source, dest, plan_of(source, form, **changes), workers=workers, **options)


def reopened(dest: pathlib.Path, **wanted) -> Source:
    return open_source("array_record" if dest.is_dir() else "zip", dest, **wanted)


def content(dest: pathlib.Path) -> dict[str, str]:
    """A checksum of each file of a set."""
    paths = sorted(dest.iterdir()) if dest.is_dir() else [dest]
    return {path.name if dest.is_dir() else "": hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def run_until_killed(program: str, n: int) -> int:
    """Runs a program that kills itself at its n-th fsync; returns its exit code."""
    code = KILLED_AT_FSYNC.format(n=n) + program
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode
