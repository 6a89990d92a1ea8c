import jax
import jax.numpy as jnp
import numpy as np
import small_gans

from flaxgan.train.step import forward
from flaxgan.train.step.forward import Latents

NUM_IMAGES = 4


def _started(*, style: bool):
    setup = small_gans.setup_of(style=style)
    return setup.gan, small_gans.init(setup)


def _latents(**fields) -> Latents:
    z = jax.random.normal(jax.random.key(1), (NUM_IMAGES, 5))
    return Latents(z, jnp.zeros(NUM_IMAGES, jnp.int32), jax.random.key(2), **fields)


def test_layers_from_the_crossover_on_take_the_second_style():
    gan, state = _started(style=True)
    z_mix = jax.random.normal(jax.random.key(3), (NUM_IMAGES, 5))
    mix_from = np.array([1, 2, 3, 1])
    latents = _latents(z_mix=z_mix, mix_from=jnp.asarray(mix_from))
    ws, variables = forward.map_latents(gan, state.g.params, state.g.variables, latents)
    first, second = (
        gan.generator.apply({"params": state.g.params, **state.g.variables}, z, method="map")
        for z in (latents.z, z_mix)
    )
    for image, layers in enumerate(mix_from):
        np.testing.assert_array_equal(ws[image, :layers], first[image, :layers])
        np.testing.assert_array_equal(ws[image, layers:], second[image, layers:])
    # w_avg follows the first mapping only.
    np.testing.assert_allclose(variables["buffers"]["w_avg"], 0.5 * first[:, 0].mean(axis=0), rtol=1e-6)


def test_without_mixing_all_layers_have_one_style():
    gan, state = _started(style=True)
    ws, _ = forward.map_latents(gan, state.g.params, state.g.variables, _latents())
    np.testing.assert_array_equal(ws, np.broadcast_to(ws[:, :1], ws.shape))


def test_generate_is_mapping_then_synthesis_with_the_given_noise():
    gan, state = _started(style=True)
    latents = _latents()
    made = forward.generate(gan, state.g.params, state.g.variables, latents)
    ws, variables = forward.map_latents(gan, state.g.params, state.g.variables, latents)
    again = forward.synthesize(gan, state.g.params, variables, ws, latents.noise_key)
    other_noise = forward.synthesize(gan, state.g.params, variables, ws, jax.random.key(9))
    np.testing.assert_array_equal(made.images, again)
    assert not np.array_equal(made.images, other_noise)


def test_a_generator_without_styles_returns_its_updated_variables():
    gan, state = _started(style=False)
    made = forward.generate(gan, state.g.params, state.g.variables, _latents())
    assert made.images.shape == (NUM_IMAGES, *small_gans.IMAGE_SHAPE)
    assert (state.g.variables["counts"]["calls"], made.variables["counts"]["calls"]) == (0, 1)


def test_discriminate_gives_one_score_per_image():
    gan, state = _started(style=True)
    images, labels = small_gans.reals()
    output, variables = forward.discriminate(gan, state.d.params, state.d.variables, images, labels)
    assert output.logits.shape == (small_gans.BATCH_SIZE,)
    assert variables == {}
