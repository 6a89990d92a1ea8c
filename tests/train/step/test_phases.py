import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_gans

from flaxgan import augment, prng
from flaxgan.config import EmaConfig, InputNoiseConfig, OptimizerConfig
from flaxgan.ops.image import to_float
from flaxgan.train.step import finish_step, phases
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.random_inputs import PhaseInputs

PATH_LENGTH = {"path_length": {"interval": 4, "batch_shrink": 2}}
R1 = {"r1": {"interval": 16, "gamma": 1.0}}
DESCENT = optax.sgd(1.0)  # A step is minus the gradient.


def _by_name(setup) -> dict[str, phases.Phase]:
    return {phase.name: phase for phase in phases.build(setup)}


def _updated(setup, name: str, state, reals, inputs):
    return jax.jit(_by_name(setup)[name].update)(state, reals, inputs)


def _assert_close(found, expected, rtol=1e-5, atol=1e-7):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), found, expected)


def _random_numbers(inputs: PhaseInputs) -> list[np.ndarray]:
    """All that is drawn, but for the labels of this unconditional network."""
    latents = inputs.latents
    keys = jax.random.key_data(latents.noise_key)
    draws = (latents.z, keys, latents.z_mix, latents.mix_from, inputs.image_noise, inputs.fake_draws, inputs.real_draws)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(draws)]


@pytest.fixture(scope="module")
def setup():
    """Every phase, with style mixing."""
    return small_gans.setup_of(g_regularizers=PATH_LENGTH, d_regularizers=R1, style_mixing_probability=0.9)


@pytest.fixture(scope="module")
def augmented(setup):
    """The same with augmentation."""
    return dataclasses.replace(setup, augment_spec=augment.preset("cutout"))


def test_order_is_g_its_regularizers_d_its_regularizers(setup):
    assert [(phase.name, phase.interval) for phase in phases.build(setup)] == [
        ("g_main", 1),
        ("g_path_length", 4),
        ("d_main", 1),
        ("d_r1", 16),
    ]


def test_without_regularizers_there_are_the_two_main_phases():
    assert list(_by_name(small_gans.setup_of(style=False))) == ["g_main", "d_main"]


def test_same_key_gives_the_same_inputs_and_other_keys_others(augmented):
    phase = phases.build(augmented)[0]
    draw = jax.jit(phase.draw)
    key = prng.step_key(7, 5, phase.name)
    one, same = draw(key), draw(prng.step_key(7, jnp.int32(5), phase.name))
    for a, b in zip(_random_numbers(one), _random_numbers(same), strict=True):
        np.testing.assert_array_equal(a, b)
    for other in (prng.step_key(7, 6, phase.name), prng.step_key(8, 5, phase.name), prng.step_key(7, 5, "d_main")):
        pairs = zip(_random_numbers(one), _random_numbers(draw(other)), strict=True)
        assert not any(np.array_equal(a, b) for a, b in pairs)


def test_inputs_have_the_axes_rounds_and_images():
    setup = small_gans.setup_of(accumulation_rounds=2)
    inputs = jax.eval_shape(phases.build(setup)[0].draw, jax.random.key(0))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(inputs)} == {2}
    assert inputs.latents.z.shape == (2, 4, 5)
    assert inputs.image_noise.shape == (2, 4, *small_gans.IMAGE_SHAPE)


def test_program_draws_from_the_key_of_its_step_and_name(setup):
    state, batch = small_gans.init(setup).replace(step=jnp.int32(11)), small_gans.batch()
    phase = _by_name(setup)["d_main"]
    found, _ = jax.jit(phase.program(seed=5))(state, batch, 0)
    inputs = jax.jit(phase.draw)(prng.step_key(5, 11, "d_main"))
    reals = Reals(to_float(batch["images"]), batch["labels"])
    expected, _ = jax.jit(phase.update)(state, reals, inputs)
    _assert_close(found.d.params, expected.d.params)


@pytest.mark.parametrize("name", ["g_main", "g_path_length", "d_main", "d_r1"])
def test_no_key_is_used_twice(augmented, name):
    state, batch = small_gans.init(augmented), small_gans.batch()
    with jax.debug_key_reuse(True):
        jax.jit(_by_name(augmented)[name].program(seed=0)).trace(state, batch, 0)


@pytest.mark.parametrize("name", ["g_main", "g_path_length", "d_main", "d_r1"])
def test_a_phase_moves_its_own_network_and_lowers_its_loss(setup, name):
    """With the inputs held, so that the loss has nothing to follow but the weights."""
    phase, reals = _by_name(setup)[name], small_gans.reals()
    inputs, update = jax.jit(phase.draw)(jax.random.key(0)), jax.jit(phase.update)
    first = state = small_gans.init(setup)
    losses = []
    for _ in range(20):
        state, scalars = update(small_gans.with_pl_mean(state, 0.3), reals, inputs)
        losses.append(float(scalars["loss"][0]))
    own, other = name[0], {"g": "d", "d": "g"}[name[0]]
    assert np.all(np.isfinite(losses)) and np.mean(losses[-3:]) < 0.9 * losses[0]
    # R1 has no gradient in the last bias, which moves all scores alike.
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), getattr(first, own).params, getattr(state, own).params)
    assert sum(jax.tree.leaves(changed)) >= len(jax.tree.leaves(changed)) - 1
    for part in ("params", "opt_state"):
        jax.tree.map(
            np.testing.assert_array_equal, getattr(getattr(first, other), part), getattr(getattr(state, other), part)
        )
    assert state.step == 0 and state.images_seen == 0


def test_a_lazy_regularizer_counts_interval_times():
    lazy = small_gans.setup_of(optimizer=DESCENT, d_regularizers={"r1": {"interval": 3, "gamma": 1.0}})
    state, reals = small_gans.init(lazy), small_gans.reals()
    inputs = jax.jit(_by_name(lazy)["d_r1"].draw)(jax.random.key(0))
    after, _ = _updated(lazy, "d_r1", state, reals, inputs)

    def penalty(params):
        score = lambda images: lazy.gan.discriminator.apply({"params": params}, images).logits.sum()
        return 0.5 * jnp.mean(jnp.sum(jax.grad(score)(reals.images) ** 2, axis=(1, 2, 3)))

    expected = jax.tree.map(lambda x: -3 * x, jax.grad(penalty)(state.d.params))
    _assert_close(small_gans.moved(state.d.params, after.d.params), expected, atol=1e-6)


def test_a_regularizer_of_every_step_joins_the_main_phase():
    separate = small_gans.setup_of(optimizer=DESCENT, d_regularizers={"r1": {"interval": 2, "gamma": 1.0}})
    joined = small_gans.setup_of(optimizer=DESCENT, d_regularizers={"r1": {"interval": None, "gamma": 1.0}})
    assert list(_by_name(joined)) == ["g_main", "d_main"]
    state, reals = small_gans.init(joined), small_gans.reals()
    inputs = jax.jit(_by_name(joined)["d_main"].draw)(jax.random.key(0))
    step = lambda setup, name: small_gans.moved(state.d.params, _updated(setup, name, state, reals, inputs)[0].d.params)
    expected = jax.tree.map(lambda main, r1: main + r1 / 2, step(separate, "d_main"), step(separate, "d_r1"))
    _assert_close(step(joined, "d_main"), expected, atol=1e-6)


def test_a_family_without_styles_trains_and_keeps_its_variables():
    setup = small_gans.setup_of(style=False, accumulation_rounds=2)
    state = small_gans.init(setup)
    for phase in phases.build(setup):
        state, scalars = jax.jit(phase.program(seed=0))(state, small_gans.batch(), 0)
        assert scalars["loss"].shape == (2,) and np.all(np.isfinite(scalars["loss"]))
    # Two rounds of each phase: both play with the generator in training mode.
    assert state.g.variables["counts"]["calls"] == 4


def test_repeats_draw_anew_from_the_same_step():
    setup = small_gans.setup_of(style=False, d_steps=2, optimizer=DESCENT)
    phase = _by_name(setup)["d_main"]
    assert (phase.repeats, _by_name(setup)["g_main"].repeats) == (2, 1)
    state, batch, program = small_gans.init(setup), small_gans.batch(), jax.jit(phase.program(seed=0))
    first, again, second = (program(state, batch, np.int32(repeat))[1]["fake_logits"] for repeat in (0, 0, 1))
    assert first == again and first != second


def test_the_discriminator_can_move_first():
    phases_of = phases.build(small_gans.setup_of(update_order="d_g", d_regularizers=R1))
    assert [phase.name for phase in phases_of] == ["d_main", "d_r1", "g_main"]


def test_a_joint_update_moves_both_networks_from_the_same_state_and_draws():
    """The generator's statistics move once, and the penalties of every step belong to their network."""
    penalties = {"g_regularizers": {"path_length": {"interval": None}}, "d_regularizers": {"r1": {"interval": None}}}
    joint = small_gans.setup_of(optimizer=DESCENT, update_order="joint", **penalties)
    apart = small_gans.setup_of(optimizer=DESCENT, **penalties)
    assert list(_by_name(joint)) == ["joint"]
    state, reals = small_gans.init(joint), small_gans.reals()
    inputs = jax.jit(_by_name(joint)["joint"].draw)(jax.random.key(2))
    after, scalars = _updated(joint, "joint", state, reals, inputs)
    after_g, g_scalars = _updated(apart, "g_main", state, reals, inputs)
    after_d, d_scalars = _updated(apart, "d_main", state, reals, inputs)
    _assert_close((after.g, after.regularizers), (after_g.g, after_g.regularizers))
    _assert_close((after.d, after.ada), (after_d.d, after_d.ada))
    assert (scalars["g/loss"], scalars["d/loss"]) == (g_scalars["loss"], d_scalars["loss"])
    assert small_gans.pl_mean(after) != small_gans.pl_mean(state) and np.isfinite(scalars["g/path_length"])


@pytest.mark.parametrize("g_batch_size", [4, 20])
def test_the_generator_may_see_another_number_of_images(g_batch_size):
    """Reals that its loss compares with are repeated, or are the first ones."""
    setup = small_gans.setup_of(style=False, g_batch_size=g_batch_size)
    g, d = (_by_name(setup)[name] for name in ("g_main", "d_main"))
    assert jax.eval_shape(g.draw, jax.random.key(0)).latents.z.shape == (1, g_batch_size, 5)
    assert jax.eval_shape(d.draw, jax.random.key(0)).latents.z.shape == (1, small_gans.BATCH_SIZE, 5)
    batch = small_gans.batch()
    found = g.reals(batch, 0, jax.random.key(0)).images
    rows = np.arange(g_batch_size) % small_gans.BATCH_SIZE
    np.testing.assert_array_equal(found, to_float(batch["images"])[rows])
    jax.eval_shape(g.program(seed=0), small_gans.init(setup), batch, 0)


def test_the_learning_rate_follows_its_schedule():
    decaying = OptimizerConfig(name="sgd", learning_rate=0.5, decay="linear")
    setup = small_gans.setup_of(style=False, d_optimizer=decaying, total_kimg=1.0)
    state, reals = small_gans.init(setup), small_gans.reals()
    phase = _by_name(setup)["d_main"]
    inputs, update = jax.jit(phase.draw)(jax.random.key(1)), jax.jit(phase.update)
    moved = lambda images: small_gans.moved(
        state.d.params, update(state.replace(images_seen=jnp.int32(images)), reals, inputs)[0].d.params
    )
    _assert_close(moved(750), jax.tree.map(lambda x: x / 4, moved(0)), atol=1e-6)


def test_noise_on_the_inputs_follows_the_score():
    settings = InputNoiseConfig(weight=4.0, threshold=0.5, decay=0.75, score="real", clip=False)
    setup = small_gans.setup_of(style=False, input_noise=settings)
    state, reals = small_gans.init(setup), small_gans.reals()
    inputs = jax.jit(_by_name(setup)["d_main"].draw)(jax.random.key(1))
    quiet, found = _updated(setup, "d_main", state, reals, inputs)
    _, plain = _updated(small_gans.setup_of(style=False), "d_main", state, reals, inputs)
    assert found["noise_strength"] == 0 and found["real_logits"] == plain["real_logits"]
    np.testing.assert_allclose(quiet.input_score, 0.25 * found["real_logits"][0], rtol=1e-5)
    loud, found = _updated(setup, "d_main", state.replace(input_score=jnp.float32(1.0)), reals, inputs)
    assert found["noise_strength"] == 1 and found["real_logits"] != plain["real_logits"]
    noisy = reals.images + np.asarray(inputs.real_noise[0])
    logits = setup.gan.discriminator.apply({"params": state.d.params}, noisy).logits
    np.testing.assert_allclose(found["real_logits"][0], logits.mean(), rtol=1e-4)
    np.testing.assert_allclose(loud.input_score, 0.75 + 0.25 * logits.mean(), rtol=1e-4)


def test_an_average_before_g_is_one_update_of_the_generator_behind():
    """PGGAN and StyleGAN: D, then the average, then G."""
    averaged = EmaConfig(decay=0.75, before_g=True)
    setup = small_gans.setup_of(style=False, update_order="d_g", ema=averaged, optimizer=DESCENT)
    state, reals = small_gans.init(setup), small_gans.reals()
    state = state.replace(ema=state.ema.replace(params=jax.tree.map(jnp.zeros_like, state.g.params)))
    inputs = jax.jit(_by_name(setup)["g_main"].draw)(jax.random.key(1))
    after_d, _ = _updated(setup, "d_main", state, reals, inputs)
    _assert_close(after_d.ema.params, state.ema.params)
    after_g, _ = _updated(setup, "g_main", after_d, reals, inputs)
    expected = jax.tree.map(lambda new: 0.25 * new, state.g.params)
    _assert_close(after_g.ema.params, expected)
    assert not np.allclose(after_g.g.params["Dense_0"]["kernel"], state.g.params["Dense_0"]["kernel"])
    finished = finish_step.program(setup)(after_g)
    _assert_close(finished.ema.params, expected)
    assert finished.images_seen == small_gans.BATCH_SIZE


def test_a_joint_update_may_average_first_too():
    joint = small_gans.setup_of(update_order="joint", ema=EmaConfig(decay=0.75, before_g=True), optimizer=DESCENT)
    state, reals = small_gans.init(joint), small_gans.reals()
    state = state.replace(ema=state.ema.replace(params=jax.tree.map(jnp.zeros_like, state.g.params)))
    inputs = jax.jit(_by_name(joint)["joint"].draw)(jax.random.key(2))
    after, _ = _updated(joint, "joint", state, reals, inputs)
    _assert_close(after.ema.params, jax.tree.map(lambda new: 0.25 * new, state.g.params))


def test_shared_latents_are_those_of_the_last_update_of_d():
    setup = small_gans.setup_of(style=False, update_order="d_g", d_steps=3, share_latents=True)
    d, g = (_by_name(setup)[name] for name in ("d_main", "g_main"))
    drawn = lambda phase, repeat: phase.draw(phase.key(5, 11, repeat))
    jax.tree.map(np.testing.assert_array_equal, *(x.latents.z for x in (drawn(g, 0), drawn(d, 2))))
    assert np.any(drawn(g, 0).latents.z != drawn(d, 1).latents.z)
    apart = _by_name(small_gans.setup_of(style=False, update_order="d_g", d_steps=3))["g_main"]
    assert np.any(drawn(apart, 0).latents.z != drawn(d, 2).latents.z)


@pytest.mark.parametrize("shared, calls", [(False, [1, 2]), (True, [1, 1])])
def test_with_shared_latents_the_generators_statistics_move_in_the_updates_of_d_alone(shared, calls):
    """As in programs that make the images once and show them to D in both updates."""
    setup = small_gans.setup_of(style=False, update_order="d_g", share_latents=shared)
    state, found = small_gans.init(setup), []
    for phase in phases.build(setup):
        state, _ = jax.jit(phase.program(seed=0))(state, small_gans.batch(), 0)
        found.append(int(state.g.variables["counts"]["calls"]))
    assert found == calls
