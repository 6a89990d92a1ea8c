import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans

from flaxgan import augment
from flaxgan.train.step import random_inputs

SHAPE = (2, 600)


def _latents(key=0, *, labels=None, mixing_probability=0.0, style=True):
    sampler = random_inputs.label_sampler(labels)
    gan = small_gans.gan(style=style)
    return random_inputs.draw_latents(
        jax.random.key(key), gan, SHAPE, labels=sampler, mixing_probability=mixing_probability
    )


def test_labels_follow_the_classes_of_the_data():
    labels = np.asarray(random_inputs.label_sampler(np.array([100, 0, 300]))(jax.random.key(0), (50, 200)))
    assert labels.dtype == np.int32 and labels.shape == (50, 200)
    shares = np.bincount(labels.ravel(), minlength=3) / labels.size
    assert shares[1] == 0
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=4 * np.sqrt(0.25 * 0.75 / labels.size))


def test_without_classes_labels_are_zero():
    labels = random_inputs.label_sampler(None)(jax.random.key(0), SHAPE)
    assert labels.dtype == jnp.int32 and labels.shape == SHAPE and not labels.any()


def test_latents_have_the_axes_rounds_and_images():
    latents = _latents()
    assert latents.z.shape == (*SHAPE, 5) and latents.z.dtype == jnp.float32
    assert latents.noise_key.shape == SHAPE[:1]
    assert latents.z_mix is None and latents.mix_from is None
    np.testing.assert_allclose([latents.z.mean(), latents.z.std()], [0, 1], atol=0.06)
    assert not np.array_equal(latents.z[0], latents.z[1])
    assert latents.noise_key[0] != latents.noise_key[1]


def test_same_key_gives_the_same_latents_and_another_key_others():
    one, same, other = _latents(1), _latents(1), _latents(2)
    np.testing.assert_array_equal(one.z, same.z)
    assert not np.array_equal(one.z, other.z)


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_share_of_mixed_images_and_their_crossovers(probability):
    latents = _latents(mixing_probability=probability)
    mix_from, num_layers = np.asarray(latents.mix_from), 3
    assert latents.z_mix.shape == latents.z.shape and not np.array_equal(latents.z_mix, latents.z)
    assert mix_from.shape == SHAPE and set(np.unique(mix_from)) <= {1, 2, num_layers}
    mixed = mix_from < num_layers
    assert abs(mixed.mean() - probability) <= 4 * np.sqrt(probability * (1 - probability) / mixed.size)
    np.testing.assert_allclose((mix_from[mixed] == 1).mean(), 0.5, atol=0.12)


def test_mixing_does_not_change_the_other_draws():
    """So that a run with mixing can be compared with one without."""
    plain, mixed = _latents(), _latents(mixing_probability=0.9)
    np.testing.assert_array_equal(plain.z, mixed.z)


def test_augmentation_draws_are_independent_between_rounds():
    spec = augment.preset("cutout")
    draws = random_inputs.draw_augmentation(jax.random.key(0), spec, (2, 3), (8, 8, 3))
    leaves = jax.tree.leaves(draws)
    assert leaves and all(leaf.shape[:2] == (2, 3) for leaf in leaves)
    assert all(not np.array_equal(leaf[0], leaf[1]) for leaf in leaves)
    assert random_inputs.draw_augmentation(jax.random.key(0), None, (2, 3), (8, 8, 3)) is None
