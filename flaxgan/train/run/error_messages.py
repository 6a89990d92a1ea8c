"""Errors that end a program with a message instead of a traceback, and their messages.

Imports nothing heavy, so that a light command can report a mistake at once.
"""

import sys

EXPECTED = (ValueError, OSError, MemoryError, ImportError)
"""Mistakes of the user, missing packages, and failures of the machine. `is_expected` knows two more."""

_EXPECTED_ELSEWHERE = (("flaxgan.train.run.logs", "NonFiniteError"), ("jax.errors", "JaxRuntimeError"))
"""Module and name of expected errors that only a program that has imported the module can see."""

_MAX_REASON = 300
_SMALLER = (
    "The devices have too little memory for this. --config.accumulation_rounds=N computes a batch in N parts, "
    "--config.network.remat=True and --config.network.dtype=bfloat16 need less, where the networks have these fields"
)
_OTHERS = "Perhaps another process of the run has ended; then its own message says why. "
_UNKNOWN = "Set FLAXGAN_TRACEBACK=1 in the environment to see where this comes from. The last checkpoint is unchanged"


def is_expected(error: BaseException) -> bool:
    """Returns whether a message says enough about an error; any other error is a mistake in the program."""
    elsewhere = (getattr(sys.modules.get(module), name, None) for module, name in _EXPECTED_ELSEWHERE)
    return isinstance(error, (*EXPECTED, *filter(None, elsewhere)))


def explain(error: BaseException) -> str:
    """Returns what went wrong, without Python's error numbers, and what to do about it."""
    if isinstance(error, MemoryError):
        return f"there is not enough memory. {error}".strip()
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return _explain_device(error) if "jax" in sys.modules else str(error)


def _explain_device(error: BaseException) -> str:
    """Returns the message of an error that a device may have raised."""
    import jax

    if not isinstance(error, jax.errors.JaxRuntimeError):
        return str(error)
    reason = (str(error) or "a device has failed").splitlines()[0][:_MAX_REASON]
    if reason.startswith("RESOURCE_EXHAUSTED"):
        return f"{reason}\n{_SMALLER}"
    others = _OTHERS if jax.distributed.is_initialized() else ""
    return f"{reason}\n{others}{_UNKNOWN}"
