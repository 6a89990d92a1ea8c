"""Gradient accumulation: one update, whatever the number of rounds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_gans

from flaxgan.train.step import phases

DESCENT = optax.sgd(1.0)  # A step is minus the gradient.
REGULARIZERS = {
    "g_regularizers": {"orthogonal": {"weight": 0.1}},
    "d_regularizers": {"r1": {"interval": None, "gamma": 1.0}, "gradient_penalty": {"interval": 2, "weight": 3.0}},
}


def _moved(name: str, rounds: int, **fields):
    """What an update adds to the weights of its network, and its scalars; the draws do not depend on the rounds."""
    setup = small_gans.setup_of(style=False, accumulation_rounds=rounds, **{**REGULARIZERS, **fields})
    phase, state = phases.by_name(setup, name), small_gans.init(setup)
    whole = phases.by_name(small_gans.setup_of(style=False, **{**REGULARIZERS, **fields}), name)
    inputs = whole.draw(jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), rounds)
    in_rounds = lambda x: x.reshape(rounds, -1, *x.shape[2:])
    latents = inputs.latents.replace(
        z=in_rounds(inputs.latents.z), labels=in_rounds(inputs.latents.labels), noise_key=keys
    )
    inputs = inputs.replace(
        latents=latents,
        **{key: in_rounds(getattr(inputs, key)) for key in ("image_noise", "uniform_noise", "interpolation")},
    )
    after, scalars = jax.jit(phase.update)(state, small_gans.reals(), inputs)
    network = name[0]
    return small_gans.moved(getattr(state, network).params, getattr(after, network).params), scalars, after


@pytest.mark.parametrize("name", ["g_main", "d_main", "d_gradient_penalty"])
@pytest.mark.parametrize("rounds", [2, 4])
def test_the_update_does_not_depend_on_the_number_of_rounds(name, rounds):
    """Of gradient descent, whose steps are as long as the gradient; penalties and weights count as before, too."""
    expected, expected_scalars, _ = _moved(name, 1, optimizer=DESCENT)
    found, scalars, _ = _moved(name, rounds, optimizer=DESCENT)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)
    np.testing.assert_allclose(scalars["gradient_norm"], expected_scalars["gradient_norm"], rtol=1e-5)
    np.testing.assert_allclose(np.mean(scalars["loss"]), expected_scalars["loss"][0], rtol=1e-5)
    assert scalars["loss"].shape == (rounds,) and max(np.max(np.abs(x)) for x in jax.tree.leaves(found)) > 1e-3


def test_a_large_eps_counts_alike_in_any_number_of_rounds():
    """Adam is not free of the gradient's scale either: eps is compared with it."""
    adam = optax.adam(0.1, eps=1.0)
    one, two = (_moved("d_main", rounds, optimizer=adam)[0] for rounds in (1, 2))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), two, one)


def test_statistics_pass_through_all_rounds():
    _, _, after = _moved("d_main", 2, optimizer=DESCENT)
    assert after.ada.sign_count == small_gans.BATCH_SIZE
    assert after.g.variables["counts"]["calls"] == 2


def test_the_generator_may_have_rounds_of_its_own():
    setup = small_gans.setup_of(style=False, g_batch_size=12, accumulation_rounds=2, g_accumulation_rounds=3)
    shapes = {
        name: jax.eval_shape(phases.by_name(setup, name).draw, jax.random.key(0)).latents.z.shape
        for name in ("g_main", "d_main")
    }
    assert shapes == {"g_main": (3, 4, 5), "d_main": (2, small_gans.BATCH_SIZE // 2, 5)}
    state = small_gans.init(setup)
    after, scalars = jax.jit(phases.by_name(setup, "g_main").program(seed=0))(state, small_gans.batch(), jnp.int32(0))
    assert scalars["loss"].shape == (3,) and after.g.variables["counts"]["calls"] == 3
