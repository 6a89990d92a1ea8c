import jax
import jax.numpy as jnp
import numpy as np
import small_gans

from flaxgan.augment import controller
from flaxgan.config import AugmentConfig, EmaConfig
from flaxgan.train.step import finish_step


def _advanced(state, **fields):
    return jax.jit(finish_step.program(small_gans.setup_of(**fields)))(state)


def _state():
    state = small_gans.init(small_gans.setup_of())
    ada = controller.accumulate(state.ada, jnp.array([1.0, 2.0, -1.0, 3.0]))
    g = state.g.replace(params=jax.tree.map(lambda x: x + 1, state.g.params))
    return state.replace(step=jnp.int32(3), images_seen=jnp.int32(24), g=g, ada=ada)


def test_counters_go_on_by_one_step_and_one_batch():
    state = _advanced(_state())
    assert (state.step, state.images_seen) == (4, 32)
    assert state.step.dtype == state.images_seen.dtype == jnp.int32


def test_average_uses_the_images_seen_before_the_step():
    before = _state()
    state = _advanced(before, ema=EmaConfig(half_life_kimg=10.0, rampup=1.0))
    share = 1 - 0.5 ** (small_gans.BATCH_SIZE / 24)
    moved = small_gans.moved(before.ema.params, state.ema.params)
    jax.tree.map(lambda x: np.testing.assert_allclose(x, share, rtol=1e-4), moved)
    jax.tree.map(np.testing.assert_array_equal, before.g.params, state.g.params)


def test_adaptive_augmentation_moves_p_at_its_interval():
    config = AugmentConfig(policy="ada", interval=4, adjust_kimg=1.0, target=0.4)
    state = _advanced(_state(), augment=config)
    # Three signs of four are positive: r_t is 0.5, above the target.
    np.testing.assert_allclose(state.ada.p, small_gans.BATCH_SIZE * 4 / 1000, rtol=1e-6)
    assert state.ada.sign_count == 0


def test_p_stays_between_two_adjustments_and_without_adaption():
    config = AugmentConfig(policy="ada", interval=5, adjust_kimg=1.0, target=0.4)
    for fields in ({"augment": config}, {"augment": AugmentConfig(policy="fixed", p=0.3)}, {}):
        state = _advanced(_state(), **fields)
        assert state.ada.p == 0 and state.ada.sign_count == 4


def test_every_update_of_the_discriminator_counts_its_images():
    state = _advanced(_state(), d_steps=3)
    assert (state.step, state.images_seen) == (4, 24 + 3 * small_gans.BATCH_SIZE)
