import jax
import jax.numpy as jnp
import pytest

from flaxgan.train.run import error_messages, logs


@pytest.mark.parametrize(
    "error, text",
    [
        (ValueError("data.path: found 'x'"), "data.path: found 'x'"),
        (OSError(28, "No space left on device", "run/log.jsonl"), "run/log.jsonl: No space left on device"),
        (OSError("cannot be saved"), "cannot be saved"),
        (ImportError("Please install gcsfs to access Google Storage"), "Please install gcsfs to access Google Storage"),
        (MemoryError(), "there is not enough memory."),
    ],
)
def test_says_what_went_wrong(error, text):
    assert error_messages.explain(error) == text and error_messages.is_expected(error)


def test_devices_without_enough_memory_are_told_from_other_failures_of_theirs():
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nBacktrace:\n  1")
    first, second = error_messages.explain(full).splitlines()
    assert first == "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."
    assert "accumulation_rounds" in second and "remat" in second
    assert error_messages.explain(jax.errors.JaxRuntimeError("")).startswith("a device has failed\n")
    lost = jax.errors.JaxRuntimeError("UNKNOWN: Gloo context initialization failed")
    assert "FLAXGAN_TRACEBACK=1" in error_messages.explain(lost) and "memory" not in error_messages.explain(lost)
    assert error_messages.is_expected(lost)


def test_numbers_that_are_not_finite_are_expected_and_mistakes_of_the_program_are_not():
    done = logs.PhaseRecord(3, "g_main", 0, {"loss": jnp.array([jnp.nan])}, jnp.array(False))
    assert error_messages.is_expected(logs.NonFiniteError(done))
    assert not error_messages.is_expected(FloatingPointError()) and not error_messages.is_expected(KeyError("a"))


def test_memory_that_the_host_does_not_have_is_one_message():
    """XLA itself raises what is explained here."""
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        jax.block_until_ready(jax.numpy.zeros((2**21, 2**21, 2**10)))
    assert error_messages.explain(error.value).count("\n") == 1
