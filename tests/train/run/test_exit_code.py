import subprocess
import sys

import pytest
import tiny_runs

from flaxgan.train.run import exit_code


def _raising(error: BaseException):
    def command():
        raise error

    return command


def test_codes_of_what_a_command_does(capsys):
    assert (exit_code.of(lambda: None), exit_code.of(lambda: 3)) == (0, 3)
    assert exit_code.of(_raising(KeyboardInterrupt())) == 130
    assert exit_code.of(_raising(ValueError("a: found 1"))) == 1
    assert capsys.readouterr().err == "error: a: found 1\n"


def test_a_mistake_of_the_program_and_on_request_any_is_raised(monkeypatch):
    with pytest.raises(KeyError):
        exit_code.of(_raising(KeyError("a")))
    monkeypatch.setenv("FLAXGAN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="found 1"):
        exit_code.of(_raising(ValueError("a: found 1")))


def test_a_closed_pipe_of_another_kind_is_a_failure(capsys):
    assert exit_code.of(_raising(BrokenPipeError(32, "Broken pipe"))) == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_output_without_a_reader_ends_silently():
    program = "from flaxgan.train.run import exit_code as e; e.leave(e.of(lambda: print('line\\n' * 100000)))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], cwd=tiny_runs.ROOT, **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == exit_code.CLOSED_PIPE


def test_a_message_needs_no_jax():
    program = (
        "import sys\nfrom flaxgan.train.run import exit_code\n"
        "def command(): raise ValueError('a mistake')\n"
        "assert exit_code.of(command) == 1 and 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tiny_runs.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "error: a mistake\n")
