"""Kills a run repeatedly, and compares its end with that of the same run without interruptions.

    python benchmarks/soak.py --config configs/pggan_celebahq1024.py:tiny --workdir runs/soak --kills 20 \
        --config.total_kimg=2 --config.snapshot_kimg=0.2 [--config.FIELD=VALUE ...]

Both runs are in --workdir: `whole`, which is not interrupted, and `killed`, which receives SIGKILL (or --signal TERM)
at random moments: while it starts, while it trains, or while a checkpoint is being written. At last `killed` runs to
its end. The exit code is 0 if both runs have the same digest and the same log, and there were as many kills as
requested. Otherwise the differences are printed. Checkpoints must be frequent: a start that saves nothing makes no
progress. With --processes 2, each run consists of two processes on this machine, which are all killed.
"""

import argparse
import json
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
POLL_SECONDS = 0.002


class Command(NamedTuple):
    """The command line of a run.

    Attributes:
      arguments: arguments of train.py.
      workdir: the run folder, which is also in the arguments.
      processes: number of processes.
      environment: environment of the processes; None is that of this process.
    """

    arguments: Sequence[str]
    workdir: pathlib.Path
    processes: int = 1
    environment: dict[str, str] | None = None


class Program:
    """The processes of a run.

    Attributes:
      lines: lines that the first process has printed.
    """

    def __init__(self, command: Command) -> None:
        """Starts the processes."""
        self.lines: list[str] = []
        self._workdir = command.workdir
        port = _free_port() if command.processes > 1 else 0
        self._processes = [_start(command, index, port) for index in range(command.processes)]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._processes[0].stdout:
            self.lines.append(line.rstrip())

    def wait_until(self, happened: Callable[["Program"], bool]) -> bool:
        """Waits for a condition; returns False if the program ends first."""
        while self._processes[0].poll() is None:
            if happened(self):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def is_saving(self) -> bool:
        """Returns whether a checkpoint is being written."""
        return any(self._workdir.glob("checkpoints/*.orbax-checkpoint-tmp"))

    def end(self, number: int | None = None) -> list[int]:
        """Sends a signal to all processes, if one is given, waits for them, and returns their exit codes."""
        for process in self._processes:
            if number is not None and process.poll() is None:
                process.send_signal(number)
        codes = [process.wait() for process in self._processes]
        self._reader.join()
        self._processes[0].stdout.close()
        return codes


def _start(command: Command, index: int, port: int) -> subprocess.Popen:
    cluster = [f"--coordinator=127.0.0.1:{port}", f"--num-processes={command.processes}", f"--process-id={index}"]
    program = [sys.executable, "-u", str(ROOT / "train.py"), *command.arguments, *(cluster if port else [])]
    pipes = {"stdout": subprocess.PIPE if index == 0 else subprocess.DEVNULL, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(program, cwd=ROOT, env=command.environment, **pipes)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def after_seconds(seconds: float) -> Callable[[Program], bool]:
    """Returns a condition that holds some time after this call."""
    end = time.monotonic() + seconds
    return lambda program: time.monotonic() >= end


def after_ticks(count: int) -> Callable[[Program], bool]:
    """Returns a condition that holds once a number of progress lines are printed."""
    return lambda program: sum(line.startswith("step ") for line in program.lines) >= count


def in_a_save(delay_seconds: float, training_seconds: float = 0.0) -> Callable[[Program], bool]:
    """Returns a condition that holds some time after a checkpoint began to be written.

    The checkpoint is the first after `training_seconds` of training. The remains of a checkpoint that an earlier kill
    has interrupted are removed before the first progress line is printed.
    """
    training, saving = after_training(training_seconds), _delayed(Program.is_saving, delay_seconds)
    return lambda program: training(program) and saving(program)


def after_training(seconds: float) -> Callable[[Program], bool]:
    """Returns a condition that holds some time after the first progress line."""
    return _delayed(after_ticks(1), seconds)


def _delayed(condition: Callable[[Program], bool], delay_seconds: float) -> Callable[[Program], bool]:
    began: list[float] = []

    def happened(program: Program) -> bool:
        if not began and condition(program):
            began.append(time.monotonic())
        return bool(began) and time.monotonic() >= began[0] + delay_seconds

    return happened


class Times(NamedTuple):
    """Durations of a run without interruptions, in seconds.

    Attributes:
      start: until the first progress line.
      training: from there to the end.
    """

    start: float
    training: float


def draw_moment(rng: random.Random, times: Times, kills: int) -> Callable[[Program], bool]:
    """Draws a random moment, so that `kills` of them are spread over the whole run."""
    kind, trained = rng.choice(("start", "training", "save")), rng.uniform(0, 3 * times.training / kills)
    if kind == "start":
        return after_seconds(rng.uniform(0, times.start))
    return after_training(trained) if kind == "training" else in_a_save(rng.expovariate(1 / 0.1), trained)


def survive(command: Command, moments: Sequence[Callable[[], Callable]], number: int = signal.SIGKILL) -> int:
    """Runs a command, kills it at each moment in turn until its work is done, and at last lets it end.

    Args:
      command: the command.
      moments: functions that return the condition for one kill; each is called when the program starts.
      number: the signal.

    Returns:
      The number of kills.

    Raises:
      RuntimeError: if the program ends neither by the signal nor with exit code 0.
    """
    count = 0
    for moment in moments:
        program, condition = Program(command), moment()
        reached = program.wait_until(condition)
        codes = program.end(number if reached else None)
        print(f"{count + 1}: {codes}, {_state_of(command.workdir)}, after {program.lines[-1:]}", flush=True)
        if not reached and any(codes):
            raise RuntimeError("\n".join(program.lines))
        if not reached:
            break
        count += 1
    program = Program(command)
    codes = program.end()
    if any(codes):
        raise RuntimeError("\n".join([*program.lines, f"exit codes {codes}"]))
    return count


def _left_alone(command: Command) -> Times:
    """Runs a command to its end and returns its durations."""
    program, start = Program(command), time.monotonic()
    program.wait_until(after_ticks(1))
    trains = time.monotonic()
    codes = program.end()
    if any(codes):
        raise RuntimeError("\n".join([*program.lines, f"exit codes {codes}"]))
    return Times(trains - start, time.monotonic() - trains)


def _state_of(workdir: pathlib.Path) -> str:
    names = sorted(path.name for path in workdir.glob("checkpoints/*"))
    return f"checkpoints {', '.join(names) or 'none'}"


def differences(whole: pathlib.Path, killed: pathlib.Path) -> list[str]:
    """Describes the differences between the ends and the logs of two runs."""
    one, other = (_inspect(path) for path in (whole, killed))
    found = [f"{name}: {one[name]} {other[name]}" for name in ("step", "digest") if one[name] != other[name]]
    for name in ("log.jsonl", "metrics.jsonl"):
        logs = [_without_clocks(path / name) for path in (whole, killed)]
        if logs[0] != logs[1]:
            found.append(f"{name} differs")
    return found


def _inspect(workdir: pathlib.Path) -> dict:
    code = f"import sys; from flaxgan import cli; sys.exit(cli.main(['inspect', {str(workdir)!r}, '--json']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def _without_clocks(path: pathlib.Path) -> list[dict]:
    clocks = ("sec_per_kimg", "memory_gib", "data_wait_share", "time")
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{name: value for name, value in line.items() if name not in clocks} for line in lines]


def main(arguments: list[str]) -> int:
    """Runs both and compares them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="recipe FILE[:VARIANT]")
    parser.add_argument("--workdir", type=pathlib.Path, required=True, help="folder of both runs")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument("--processes", type=int, default=1)
    known, overrides = parser.parse_known_args(arguments)

    def command(name: str) -> Command:
        workdir = (known.workdir / name).absolute()
        return Command(["--config", known.config, "--workdir", str(workdir), *overrides], workdir, known.processes)

    whole, killed = command("whole"), command("killed")
    times = _left_alone(whole)
    print(f"whole: {times.start:.0f} + {times.training:.0f} s, {_inspect(whole.workdir)['digest']}", flush=True)
    rng = random.Random(known.seed)
    moments = [lambda: draw_moment(rng, times, known.kills)] * known.kills
    kills = survive(killed, moments, getattr(signal, f"SIG{known.signal}"))
    print(f"killed: {_inspect(killed.workdir)['digest']}")
    found = differences(whole.workdir, killed.workdir)
    print("\n".join(found) or f"the same end and the same log after {kills} times SIG{known.signal}")
    if kills < known.kills:
        print(f"the run was done after {kills} of {known.kills} kills: it has to be longer")
    return bool(found) or kills < known.kills


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
