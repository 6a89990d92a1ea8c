import jax
import jax.numpy as jnp
import numpy as np

from flaxgan import prng


def _data(key) -> tuple:
    return tuple(np.asarray(jax.random.key_data(key)))


def test_key_is_a_pure_function_of_seed_step_and_name():
    keys = {
        _data(prng.step_key(seed, step, name)) for seed in (0, 1) for step in (0, 1) for name in ("g_main", "d_main")
    }
    assert len(keys) == 8
    assert _data(prng.step_key(1, 1, "g_main")) in keys


def test_traced_step_gives_the_same_key():
    traced = jax.jit(lambda step: prng.step_key(3, step, "g_main"))(jnp.int32(7))
    assert _data(traced) == _data(prng.step_key(3, 7, "g_main"))


def test_keys_do_not_change_between_versions():
    """A run that is resumed with another version of the library goes on with the same draws."""
    assert _data(prng.step_key(3, 7, "g_main")) == (350921526, 1855298503)
    assert _data(prng.purpose_key(3, "g_init")) == (1863716755, 4106411539)


def test_step_keys_are_not_the_purpose_key():
    assert _data(prng.purpose_key(3, "g_main")) != _data(prng.step_key(3, 0, "g_main"))
