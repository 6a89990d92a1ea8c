import io
import subprocess
import sys

import pytest
import tiny_runs

from flaxgan import cli, lookup
from flaxgan.cli import inspect


def test_every_module_is_a_subcommand_with_help():
    general = tiny_runs.flaxgan("--help")
    assert general.code == 0
    for name in lookup.module_names(cli):
        command = name.replace("_", "-")
        assert command in general.out
        shown = tiny_runs.flaxgan(command, "--help")
        assert shown.code == 0
        summary = lookup.module(cli, name).__doc__.splitlines()[0]
        assert " ".join(summary.split()) in " ".join(shown.out.split())


@pytest.mark.parametrize("arguments", [[], ["generat"], ["generate"], ["inspect", "a", "--jsn"]])
def test_what_cannot_be_parsed_ends_with_code_2_and_the_usage(arguments):
    outcome = tiny_runs.flaxgan(*arguments)
    assert outcome.code == 2 and "usage: flaxgan" in outcome.err


def test_a_mistake_is_one_message_and_on_request_a_traceback(tmp_path, monkeypatch):
    outcome = tiny_runs.flaxgan("inspect", tmp_path)
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err == f"error: {tmp_path}: holds no checkpoint; allowed: a run folder or a checkpoint in it\n"
    monkeypatch.setenv("FLAXGAN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="holds no checkpoint"):
        tiny_runs.flaxgan("inspect", tmp_path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NotADirectoryError(20, "Not a directory", "a/b"), "a/b: Not a directory"),
        (OSError("the disk is full"), "the disk is full"),
        (MemoryError("Unable to allocate 3 TiB"), "there is not enough memory. Unable to allocate 3 TiB"),
    ],
)
def test_errors_of_the_system_are_one_message(monkeypatch, error, message):
    def fail(arguments):
        raise error

    monkeypatch.setattr(inspect, "run", fail)
    assert tiny_runs.flaxgan("inspect", "run") == tiny_runs.Outcome(1, "", f"error: {message}\n")


def test_addresses_that_nothing_can_be_read_from():
    outcome = tiny_runs.flaxgan("inspect", "http://host/run")
    assert outcome.code == 1 and outcome.err.startswith(
        "error: address: found 'http://host/run', allowed: a path on this machine, or one that begins with gs://, "
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["recipes", "--help"], ["inspect", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    heavy = {"jax", "numpy", "flax", "orbax", "tyro", "PIL", "optax", "etils", "sklearn", "grain"}
    program = (
        f"import sys\nfrom flaxgan import cli\ntry:\n    cli.main({arguments})\nexcept SystemExit:\n    pass\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tiny_runs.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith("usage: flaxgan") and done.stdout.splitlines()[-1] == "[]"


def test_names_that_are_no_text_are_printed(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(inspect, "run", lambda arguments: print(arguments.run_path, flush=True))
    assert cli.main(["inspect", "a\udcff"]) == 0
    assert output.buffer.getvalue() == b"a\\udcff\n"
