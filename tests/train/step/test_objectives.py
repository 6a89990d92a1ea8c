import dataclasses

import jax
import numpy as np
import pytest
import small_gans

from flaxgan import augment
from flaxgan.losses import regularizers
from flaxgan.train.step import forward, objectives, phases

PATH_LENGTH = {"path_length": {"interval": 2, "batch_shrink": 2, "weight": 3.0}}
R1 = {"r1": {"interval": 2, "gamma": 5.0}}


@pytest.fixture(scope="module")
def setup():
    return small_gans.setup_of(g_regularizers=PATH_LENGTH, d_regularizers=R1)


@pytest.fixture(scope="module")
def inputs(setup):
    """The inputs of one round."""
    drawn = phases.build(setup)[0].draw(jax.random.key(0))
    return jax.tree.map(lambda x: x[0], drawn)


def _fakes(setup, state, inputs):
    return forward.generate(setup.gan, state.g.params, state.g.variables, inputs.latents)


def _logits(setup, state, images):
    return np.asarray(setup.gan.discriminator.apply({"params": state.d.params}, images).logits, np.float64)


def _softplus(x):
    return np.log1p(np.exp(x))


def test_generator_loss_is_that_of_its_fakes(setup, inputs):
    state = small_gans.init(setup)
    value, (after, scalars) = objectives.main(setup, "g")(state.g.params, state, small_gans.reals(), inputs)
    logits = _logits(setup, state, _fakes(setup, state, inputs).images)
    np.testing.assert_allclose(value, _softplus(-logits).mean(), rtol=1e-5)
    assert scalars.keys() == {"loss"} and scalars["loss"] == value
    assert np.any(after.g.variables["buffers"]["w_avg"] != 0)


def test_discriminator_loss_is_that_of_fakes_and_reals(setup, inputs):
    state, reals = small_gans.init(setup), small_gans.reals()
    value, (after, scalars) = objectives.main(setup, "d")(state.d.params, state, reals, inputs)
    fake, real = _logits(setup, state, _fakes(setup, state, inputs).images), _logits(setup, state, reals.images)
    np.testing.assert_allclose(value, (_softplus(fake) + _softplus(-real)).mean(), rtol=1e-5)
    np.testing.assert_allclose(scalars["real_logits"], real.mean(), rtol=1e-5)
    np.testing.assert_allclose(scalars["fake_logits"], fake.mean(), rtol=1e-5)
    # The controller of the augmentation sees the reals' scores, and w_avg follows the fakes' styles.
    assert (after.ada.sign_count, after.ada.sign_sum) == (len(real), np.sign(real).sum())
    assert np.any(after.g.variables["buffers"]["w_avg"] != 0)


def test_r1_is_half_gamma_times_the_squared_gradient_on_reals(setup, inputs):
    state, reals = small_gans.init(setup), small_gans.reals()
    value, (after, scalars) = objectives.regularizer(setup, "d", setup.regularizers.d[0])(
        state.d.params, state, reals, inputs
    )
    score = lambda images: setup.gan.discriminator.apply({"params": state.d.params}, images).logits.sum()
    gradient = np.asarray(jax.grad(score)(reals.images), np.float64)
    np.testing.assert_allclose(value, 0.5 * 5.0 * (gradient**2).sum(axis=(1, 2, 3)).mean(), rtol=1e-5)
    assert scalars["loss"] == value and after.ada.sign_count == 0


def test_path_length_sees_the_first_share_of_the_batch(setup, inputs):
    state = small_gans.with_pl_mean(small_gans.init(setup), 0.3)
    value, (after, _) = objectives.regularizer(setup, "g", setup.regularizers.g[0])(
        state.g.params, state, small_gans.reals(), inputs
    )
    half = small_gans.BATCH_SIZE // 2
    latents = inputs.latents.replace(z=inputs.latents.z[:half], labels=inputs.latents.labels[:half])
    ws, variables = forward.map_latents(setup.gan, state.g.params, state.g.variables, latents)
    synthesize = lambda ws: forward.synthesize(setup.gan, state.g.params, variables, ws, latents.noise_key)
    penalty, changes = regularizers.path_length(
        synthesize, ws, inputs.image_noise[:half], small_gans.pl_mean(state), weight=3.0, decay=0.01
    )
    np.testing.assert_allclose(value, penalty.mean(), rtol=1e-5)
    np.testing.assert_allclose(small_gans.pl_mean(after), changes["pl_mean"], rtol=1e-6)
    assert small_gans.pl_mean(after) != small_gans.pl_mean(state)


def test_regularizers_that_join_the_main_loss_add_to_it():
    joined = small_gans.setup_of(d_regularizers={"r1": {"interval": None, "gamma": 5.0}})
    state, reals = small_gans.init(joined), small_gans.reals()
    inputs = jax.tree.map(lambda x: x[0], phases.build(joined)[1].draw(jax.random.key(0)))
    game, _ = objectives.main(joined, "d")(state.d.params, state, reals, inputs)
    penalty, _ = objectives.regularizer(joined, "d", joined.regularizers.d[0])(state.d.params, state, reals, inputs)
    value, (_, scalars) = objectives.main(joined, "d", joined.regularizers.d)(state.d.params, state, reals, inputs)
    np.testing.assert_allclose(value, game + penalty, rtol=1e-6)
    np.testing.assert_allclose([scalars["loss"], scalars["r1"]], [game, penalty], rtol=1e-6)


def test_real_images_are_augmented_for_the_discriminator_and_its_penalty(setup, inputs):
    """With p = 0 the losses are those without augmentation, with p = 1 they are not."""
    state, reals = small_gans.init(setup), small_gans.reals()
    spec = augment.preset("cutout")
    augmenting = dataclasses.replace(setup, augment_spec=spec)
    draws = augment.draw(jax.random.key(5), spec, small_gans.BATCH_SIZE, small_gans.IMAGE_SHAPE)
    inputs = inputs.replace(fake_draws=draws, real_draws=draws)
    losses = {
        "d_main": (objectives.main, ("d",)),
        "d_r1": (objectives.regularizer, ("d", setup.regularizers.d[0])),
        "g_main": (objectives.main, ("g",)),
    }
    for name, (make, arguments) in losses.items():
        params = getattr(state, name[0]).params
        values = {
            p: make(augmenting, *arguments)(params, state.replace(ada=state.ada.replace(p=p)), reals, inputs)[0]
            for p in (0.0, 1.0)
        }
        plain = make(setup, *arguments)(params, state, reals, inputs)[0]
        np.testing.assert_allclose(values[0.0], plain, rtol=1e-5, err_msg=name)
        assert values[1.0] != plain, name
