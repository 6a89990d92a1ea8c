import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.augment import input_noise


def test_strength_is_the_weighted_square_above_the_threshold():
    scores = jnp.asarray([-1.0, 0.0, 0.5, 0.6, 1.0, 1.5])
    np.testing.assert_allclose(input_noise.noise_strength(scores), [0, 0, 0, 0.002, 0.05, 0.2], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(input_noise.noise_strength(1.0, weight=2.0, threshold=0.9), 0.02, rtol=1e-5)


@pytest.mark.parametrize(
    ("mean_logit", "clip", "expected"),
    [(0.7, True, 0.43), (3.0, True, 0.46), (-3.0, True, 0.36), (3.0, False, 0.66), (-3.0, False, 0.06)],
)
def test_the_score_follows_the_mean_logit(mean_logit, clip, expected):
    score = input_noise.update_score(jnp.asarray(0.4), jnp.asarray(mean_logit), clip=clip)
    np.testing.assert_allclose(score, expected, rtol=1e-5)


def test_decay_is_the_share_of_the_old_score():
    np.testing.assert_allclose(input_noise.update_score(0.4, 1.0, decay=0.25), 0.25 * 0.4 + 0.75, rtol=1e-6)


def test_logits_get_no_gradient_from_the_score():
    assert jax.grad(lambda mean: input_noise.update_score(0.4, mean))(0.5) == 0


def test_noise_is_added_in_the_images_dtype():
    images, noise = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 1))
    noisy = input_noise.add_noise(jnp.asarray(images), 0.3, jnp.asarray(noise))
    np.testing.assert_allclose(noisy, images + 0.3 * noise, rtol=1e-5)
    half = input_noise.add_noise(jnp.asarray(images, jnp.bfloat16), jnp.asarray(0.3), jnp.asarray(noise))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(half, np.float32), images + 0.3 * noise, atol=0.05)


def test_noise_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"noise: found shape \(2, 4, 4, 1\), allowed: \(2, 4, 4, 3\)"):
        input_noise.add_noise(jnp.zeros((2, 4, 4, 3)), 0.1, jnp.zeros((2, 4, 4, 1)))
