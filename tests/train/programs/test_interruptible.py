import subprocess
import sys
import threading

import pytest
import tiny_runs

from flaxgan.train.programs import interruptible


def test_gives_what_the_work_gives_or_raises():
    assert interruptible.run(lambda: threading.current_thread()) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        interruptible.run(lambda: 1 // 0)


def test_a_cancelled_wait_ends_while_the_work_goes_on():
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(60)

    with pytest.raises(interruptible.Cancelled):
        interruptible.run(work, cancelled=begun.is_set)
    assert any(thread.name.startswith("flaxgan-background") for thread in threading.enumerate())
    end.set()


COMPILATION_LEFT = """
import signal, threading, jax, jax.numpy as jnp
from flaxgan.train.programs import interruptible

def slow(x):
    for _ in range(300):
        x = jnp.sort(jnp.sin(x @ x), axis=0)
    return x

lowered = jax.jit(slow).lower(jnp.ones((64, 64)))
begun = threading.Event()
try:
    interruptible.run(lambda: begun.set() or lowered.compile(), cancelled=begun.is_set)
except interruptible.Cancelled:
    print("cancelled")
interruptible.leave(7)
"""


@pytest.mark.parametrize(
    "program, code",
    [(COMPILATION_LEFT, 7), ("from flaxgan.train.programs import interruptible; interruptible.leave(3)", 3)],
)
def test_leaving_in_the_middle_of_a_compilation_has_the_exit_code(program, code):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tiny_runs.ROOT)
    assert (done.returncode, done.stderr) == (code, "")
