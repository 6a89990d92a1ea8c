"""Settings for all tests and for the programs that they start, and the tiny run that many tests look at."""

import importlib.metadata
import os
import pathlib
import sys

import pytest
import tiny_runs
from golden_report import pytest_terminal_summary as pytest_terminal_summary

ROOT = pathlib.Path(__file__).parent.parent

# Read when jax is imported. Programs are kept between sessions, and shared with subprocesses.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
# The programs are small and run a few times each: most of a test's time is their compilation.
FLAGS = ["--xla_backend_optimization_level=0"]
if importlib.metadata.version("jax").startswith("0.10."):  # A flag that XLA does not know would end the program.
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
sys.path.insert(0, str(ROOT))  # For `import train`, however pytest is started.


LANES = {
    "parity": ("tests/parity",),
    "families": ("tests/families",),
    "multihost": ("tests/train/distributed/test_multihost.py",),
    "slow": (
        "tests/cli/test_generate.py",
        "tests/cli/test_import_pkl.py",
        "tests/configs/test_recipes.py",
        "tests/docs/test_extending.py",
        "tests/metrics/test_class",
        "tests/test_host_program.py",
        "tests/test_train.py",
        "tests/train/checkpoints/test_integrity.py",
        "tests/train/checkpoints/test_transfer.py",
        "tests/train/distributed/test_device_mesh.py",
        "tests/train/programs/test_compilation.py",
        "tests/train/recipes/test_packaged.py",
        "tests/train/run/test_failures.py",
        "tests/train/run/test_launch.py",
        "tests/train/test_kill.py",
        "tests/train/test_odd_data.py",
        "tests/train/test_trained.py",
    ),
}
"""Markers of whole folders and files, by the beginning of their paths."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of the lanes, see `LANES`."""
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        for lane, places in LANES.items():
            if path.startswith(places):
                item.add_marker(lane)


def pytest_configure(config: pytest.Config) -> None:
    """Two processes may use the cache at once: an entry that is half written is compiled again."""
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache:UserWarning")
    config.addinivalue_line("filterwarnings", "ignore:Error writing persistent compilation cache:UserWarning")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> tiny_runs.TinyRun:
    """A finished run of 12 steps of every phase, on a folder of RGB images in two classes. Not to be written to."""
    folder = tmp_path_factory.mktemp("tiny_run")
    return tiny_runs.finished(folder / "run", "rgb", tiny_runs.write_folder(folder / "data", (8, 8, 3)))
