"""What ends a program with a message instead of a traceback, and how it is said."""

import jax

from flaxgan.train.run.logs import NonFiniteError

EXPECTED = (ValueError, OSError, MemoryError, ImportError, NonFiniteError, jax.errors.JaxRuntimeError)
"""Mistakes of the user, packages that are missing, and what happens to the machine; anything else is a mistake in the
program."""

_MAX_REASON = 300
_SMALLER = (
    "The devices have too little memory for this. --config.accumulation_rounds=N computes a batch in N parts, "
    "--config.network.remat=True and --config.network.dtype=bfloat16 need less, where the networks have these fields"
)
_OTHERS = "Perhaps another process of the run has ended; then its own message says why. "
_UNKNOWN = "FLAXGAN_TRACEBACK=1 in the environment shows where it comes from. The last checkpoint is as it was"


def explain(error: Exception) -> str:
    """What went wrong, without Python's numbers, and what to do."""
    if isinstance(error, MemoryError):
        return f"there is not enough memory. {error}".strip()
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, jax.errors.JaxRuntimeError):
        reason = (str(error) or "a device has failed").splitlines()[0][:_MAX_REASON]
        if reason.startswith("RESOURCE_EXHAUSTED"):
            return f"{reason}\n{_SMALLER}"
        others = _OTHERS if jax.distributed.is_initialized() else ""
        return f"{reason}\n{others}{_UNKNOWN}"
    return str(error)
