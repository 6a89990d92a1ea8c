import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans

from flaxgan.config import EmaConfig
from flaxgan.train.step import ema
from flaxgan.train.step.state import Average, NetworkState


def _beta(images_seen: int, batch_size: int, half_life_kimg: float, rampup: float | None) -> float:
    half_life = half_life_kimg * 1000
    if rampup is not None:
        half_life = min(half_life, images_seen * rampup)
    return 0.5 ** (batch_size / max(half_life, 1e-8))


@pytest.mark.parametrize("rampup", [None, 0.05, 2.0])
@pytest.mark.parametrize("images_seen", [0, 32, 5_000, 10_000_000])
def test_beta_halves_an_old_weight_in_the_half_life(rampup, images_seen):
    found = ema.ema_beta(EmaConfig(half_life_kimg=10.0, rampup=rampup), jnp.int32(images_seen), 32)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, _beta(images_seen, 32, 10.0, rampup), rtol=1e-5)


def test_first_beta_with_ramp_up_forgets_the_initialization():
    assert ema.ema_beta(EmaConfig(half_life_kimg=10.0, rampup=0.05), jnp.int32(0), 32) == 0


def test_half_life_of_zero_takes_the_newest_weights():
    assert ema.ema_beta(EmaConfig(half_life_kimg=0), jnp.int32(5000), 32) == 0


@pytest.mark.parametrize("rampup", [None, 0.5])
def test_average_of_several_steps_is_that_of_numpy(rampup):
    random = np.random.default_rng(0)
    config, batch_size = EmaConfig(half_life_kimg=0.05, rampup=rampup), 16
    expected = random.normal(size=(3, 2))
    average = Average({"w": jnp.asarray(expected, jnp.float32)}, {})
    for step in range(5):
        new = random.normal(size=(3, 2))
        beta = _beta(step * batch_size, batch_size, 0.05, rampup)
        expected = beta * expected + (1 - beta) * new
        found_beta = ema.ema_beta(config, jnp.int32(step * batch_size), batch_size)
        average = ema.update(average, NetworkState({"w": jnp.asarray(new, jnp.float32)}, {}, ()), found_beta)
    np.testing.assert_allclose(average.params["w"], expected, rtol=1e-5)


def test_other_variables_are_copied_not_averaged():
    average = Average({"w": jnp.zeros(2)}, {"buffers": {"w_avg": jnp.zeros(2)}})
    generator = NetworkState({"w": jnp.ones(2)}, {"buffers": {"w_avg": jnp.full(2, 7.0)}}, ())
    average = ema.update(average, generator, jnp.float32(0.75))
    np.testing.assert_array_equal(average.params["w"], [0.25, 0.25])
    np.testing.assert_array_equal(average.variables["buffers"]["w_avg"], [7, 7])


def test_a_decay_takes_the_place_of_the_half_life():
    config = EmaConfig(decay=0.9, half_life_kimg=0.001, rampup=0.05)
    np.testing.assert_allclose(ema.ema_beta(config, jnp.int32(0), 32), 0.9, rtol=1e-6)


@pytest.mark.parametrize("images_seen, kept", [(0, 0.0), (999, 0.0), (1000, 0.9), (5000, 0.9)])
def test_until_its_start_the_average_is_a_copy(images_seen, kept):
    found = ema.ema_beta(EmaConfig(decay=0.9, start_kimg=1.0), jnp.int32(images_seen), 32)
    np.testing.assert_allclose(found, kept, rtol=1e-6)


@pytest.mark.parametrize("start_kimg", [81915.904, 0.008000000000000002])
def test_the_start_is_a_whole_number_of_images(start_kimg):
    start = round(1000 * start_kimg)
    for images_seen, kept in ((start - 1, 0.0), (start, 0.5)):
        with jax.enable_x64(True):
            config = EmaConfig(decay=0.5, start_kimg=start_kimg)
            assert ema.ema_beta(config, jnp.int32(images_seen), 8) == kept


def test_spectral_vectors_are_averaged_where_asked_for():
    state = small_gans.init(small_gans.setup_of(style=False))
    new = state.g.replace(variables={"spectral": {"u": jnp.ones(2)}, "buffers": {"w_avg": jnp.ones(2)}})
    state = state.replace(g=new, ema=Average(state.ema.params, jax.tree.map(jnp.zeros_like, new.variables)))
    for averaged, expected in ((False, 1.0), (True, 0.25)):
        found = ema.step(EmaConfig(decay=0.75, average_spectral=averaged), state, 8).ema.variables
        np.testing.assert_allclose(found["spectral"]["u"], expected)
        np.testing.assert_array_equal(found["buffers"]["w_avg"], 1)


def test_running_statistics_are_averaged_and_other_variables_copied():
    average = Average({}, {"batch_stats": {"mean": jnp.zeros(2)}, "spectral": {"u": jnp.zeros(2)}})
    new = NetworkState({}, {"batch_stats": {"mean": jnp.ones(2)}, "spectral": {"u": jnp.ones(2)}}, None)
    found = ema.update(average, new, jnp.float32(0.75)).variables
    np.testing.assert_allclose(found["batch_stats"]["mean"], 0.25)
    np.testing.assert_array_equal(found["spectral"]["u"], 1)
