import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_gans

from flaxgan.config import OptimizerConfig
from flaxgan.train.step import optimizers

R1 = {"r1": {"interval": 16}}
PATH_LENGTH = {"path_length": {"interval": 4}}


def _adam(gradients: list[np.ndarray], *, rate: float, b1: float, b2: float, eps: float) -> np.ndarray:
    """What Adam adds to a parameter in all (Kingma and Ba 2015, algorithm 1), in float64."""
    moved = first = second = np.zeros_like(gradients[0])
    for step, gradient in enumerate(gradients, start=1):
        first = b1 * first + (1 - b1) * gradient
        second = b2 * second + (1 - b2) * gradient**2
        moved = moved - rate * (first / (1 - b1**step)) / (np.sqrt(second / (1 - b2**step)) + eps)
    return moved


def _moved(optimizer: optax.GradientTransformation, gradients: list[np.ndarray]) -> np.ndarray:
    params = jnp.zeros(gradients[0].shape)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params)


def test_adam_with_eps_hat_is_that_of_tensorflow():
    """eps is added to the root of the uncorrected second moment, so that it counts more in the first steps."""
    gradients = [x * 1e-3 for x in np.random.default_rng(0).normal(size=(6, 4))]
    settings = {"learning_rate": 0.01, "b1": 0.5, "b2": 0.99, "eps": 1e-4}
    moved = first = second = np.zeros(4)
    for step, gradient in enumerate(gradients, start=1):
        first = 0.5 * first + 0.5 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        rate = 0.01 * np.sqrt(1 - 0.99**step) / (1 - 0.5**step)
        moved = moved - rate * first / (np.sqrt(second) + 1e-4)
    found, other = (
        _moved(optimizers.adam(OptimizerConfig(**settings, eps_hat=hat)), gradients) for hat in (True, False)
    )
    np.testing.assert_allclose(found, moved, rtol=1e-4)
    assert np.all(np.abs(other) > 1.2 * np.abs(found))


def test_both_forms_of_adam_have_the_same_state_and_only_adam_has_two():
    params = {"w": jnp.ones(3)}
    states = [optimizers.adam(OptimizerConfig(eps_hat=hat)).init(params) for hat in (True, False)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    sgd = OptimizerConfig(name="sgd", eps_hat=True)
    with pytest.raises(ValueError, match=r"g_optimizer.eps_hat: found True, allowed: False, because name is 'sgd'"):
        optimizers.build_optimizers(small_gans.config(g_optimizer=sgd), ())


@pytest.mark.parametrize(
    "intervals, ratio",
    [
        ([], 1),
        ([None], 1),
        ([1], 1 / 2),
        ([16], 16 / 17),
        ([4], 4 / 5),
        ([None, 4], 4 / 5),
        ([2, 4], 1 / (1 + 1 / 2 + 1 / 4)),
    ],
)
def test_lazy_ratio_is_the_main_loss_share_of_the_steps(intervals, ratio):
    assert optimizers.lazy_ratio({str(k): {"interval": k} for k in intervals}) == pytest.approx(ratio, rel=1e-15)


def test_each_network_has_adam_corrected_for_its_own_interval():
    adam = OptimizerConfig(learning_rate=0.01, b1=0.5, b2=0.9, eps=1e-6)
    config = small_gans.config(g_regularizers=PATH_LENGTH, d_regularizers=R1, g_optimizer=adam, d_optimizer=adam)
    gradients = list(np.random.default_rng(0).normal(size=(5, 4)))
    for optimizer, ratio in zip(optimizers.build_optimizers(config, ()), (4 / 5, 16 / 17), strict=True):
        settings = {"rate": 0.01 * ratio, "b1": 0.5**ratio, "b2": 0.9**ratio, "eps": 1e-6}
        np.testing.assert_allclose(_moved(optimizer, gradients), _adam(gradients, **settings), rtol=1e-5)


def test_correction_moves_as_far_with_a_constant_gradient():
    """k + 1 corrected steps stand for k uncorrected ones (Karras et al. 2020b, appendix B)."""
    corrected = optimizers.adam(optimizers.lazy(OptimizerConfig(), 4 / 5))
    np.testing.assert_allclose(
        _moved(corrected, [np.ones(1)] * 5), _moved(optimizers.adam(OptimizerConfig()), [np.ones(1)] * 4), rtol=1e-4
    )


def test_frozen_layers_stay_and_the_others_move_as_without_freezing():
    config = small_gans.config(freeze_d_layers=1)
    params = {"first": {"kernel": jnp.ones(2)}, "first_too": {"kernel": jnp.ones(2)}, "last": {"kernel": jnp.ones(2)}}
    gradients = jax.tree.map(lambda x: 0.3 * x, params)
    moved = {}
    for name, optimizer in (
        ("frozen", optimizers.build_optimizers(config, ("first", "last")).d),
        ("free", optimizers.adam(config.d_optimizer)),
    ):
        moved[name], _ = optimizer.update(gradients, optimizer.init(params), params)
    np.testing.assert_array_equal(moved["frozen"]["first"]["kernel"], 0)
    for layer in ("first_too", "last"):
        np.testing.assert_array_equal(moved["frozen"][layer]["kernel"], moved["free"][layer]["kernel"])
        assert np.all(moved["frozen"][layer]["kernel"] < 0)


def test_more_frozen_layers_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"config.freeze_d_layers: found 3, allowed: 0 to 2"):
        optimizers.build_optimizers(small_gans.config(freeze_d_layers=3), ("first", "last"))


def test_unknown_optimizer_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"d_optimizer.name: found 'lion', allowed: adam, rmsprop, sgd"):
        optimizers.build_optimizers(small_gans.config(d_optimizer=OptimizerConfig(name="lion")), ())


def test_rmsprop_is_that_of_the_formula():
    """From a mean square of 0, with eps outside the root, as Keras has it."""
    gradients = list(np.random.default_rng(1).normal(size=(4, 3)))
    moved = square = np.zeros(3)
    for gradient in gradients:
        square = 0.9 * square + 0.1 * gradient**2
        moved = moved - 0.01 * gradient / (np.sqrt(square) + 1e-3)
    found = optimizers.rmsprop(OptimizerConfig(name="rmsprop", learning_rate=0.01, b2=0.9, eps=1e-3))
    np.testing.assert_allclose(_moved(found, gradients), moved, rtol=1e-5)


def test_sgd_is_the_gradient_with_momentum_where_asked_for():
    gradients = list(np.random.default_rng(1).normal(size=(2, 3)))
    plain = optimizers.sgd(OptimizerConfig(name="sgd", learning_rate=0.1))
    np.testing.assert_allclose(_moved(plain, gradients), -0.1 * sum(gradients), rtol=1e-5)
    heavy = optimizers.sgd(OptimizerConfig(name="sgd", learning_rate=0.1, b1=0.5))
    np.testing.assert_allclose(_moved(heavy, gradients), -0.1 * (1.5 * gradients[0] + gradients[1]), rtol=1e-5)


def test_updates_scale_with_ramp_up_and_decay():
    config = OptimizerConfig(rampup_kimg=2.0, decay="linear", decay_start_kimg=4.0)
    scale = optimizers.scaler(config, 8.0)
    factor = lambda kimg: float(scale({"w": jnp.ones(1)}, jnp.int32(1000 * kimg))["w"][0])
    np.testing.assert_allclose([factor(k) for k in (1, 2, 4, 6, 8)], [np.exp(-1.25), 1, 1, 0.5, 0], rtol=1e-5)


def test_a_decay_that_begins_after_the_end_is_refused():
    late = OptimizerConfig(decay="cosine", decay_start_kimg=30.0)
    with pytest.raises(ValueError, match="g_optimizer.decay_start_kimg: found 30.0, allowed: below total_kimg 20"):
        optimizers.build_optimizers(small_gans.config(g_optimizer=late, total_kimg=20.0), ())
