import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.augment import controller

SETTINGS = {"images_per_update": 64, "target": 0.5, "kimg": 0.64}  # Steps of 0.1.


def _state(p, logits):
    return controller.accumulate(controller.init(p), jnp.asarray(logits))


def test_the_mean_sign_is_over_all_batches():
    state = controller.init()
    for logits in ([3.0, -1.0], [0.0, 5.0, 0.1]):
        state = controller.accumulate(state, jnp.array(logits))
    assert (state.sign_sum, state.sign_count) == (2, 5)


@pytest.mark.parametrize("logits, p", [([1.0, 2.0], 0.4), ([1.0, -1.0], 0.2), ([1.0, 1.0, 1.0, -1.0], 0.3), ([], 0.3)])
def test_p_moves_towards_the_target_by_a_fixed_step(logits, p):
    state = controller.update(_state(0.3, logits), **SETTINGS)
    np.testing.assert_allclose(state.p, p, rtol=1e-6)
    assert (state.sign_sum, state.sign_count) == (0, 0)


def test_p_stays_at_or_above_zero():
    assert controller.update(_state(0.05, [-1.0]), **SETTINGS).p == 0


def test_p_is_bounded_above_only_where_asked():
    state = _state(0.95, [1.0])
    np.testing.assert_allclose(controller.update(state, **SETTINGS).p, 1.05)
    np.testing.assert_allclose(controller.update(state, **SETTINGS, p_max=1.0).p, 1)
    np.testing.assert_allclose(controller.update(state, **SETTINGS, p_max=0.8).p, 0.8)


def test_maybe_update_works_after_every_interval_and_keeps_the_sums_until_then():
    def step(state, step):
        state = controller.accumulate(state, jnp.array([1.0, 1.0]))
        state = controller.maybe_update(state, step, interval=3, **SETTINGS)
        return state, (state.p, state.sign_count)

    _, (p, count) = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(1, 8)))(controller.init(0.1))
    np.testing.assert_allclose(p, [0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(count, [2, 4, 0, 2, 4, 0, 2])


def test_logits_get_no_gradient_from_the_controller():
    gradient = jax.grad(lambda logits: controller.accumulate(controller.init(), logits).sign_sum)(
        jnp.array([0.5, -2.0])
    )
    np.testing.assert_array_equal(gradient, [0, 0])


def test_a_negative_start_is_refused():
    with pytest.raises(ValueError, match="p: found -0.1, allowed: at least 0"):
        controller.init(-0.1)
