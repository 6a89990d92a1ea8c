import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate1d

from flaxgan import augment
from flaxgan.augment import image_filter

P = jnp.ones(())
SPEC = augment.AugmentSpec(imgfilter=1, imgfilter_bands=(1, 0, 0.5, 1), imgfilter_std=0.8)


def _images(shape=(3, 24, 30, 2)):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def _slow(image, values, applied):
    """One image, by the definition, in float64; SciPy calls NumPy's "reflect" mirror."""
    gains = np.ones(4)
    for band in range(4):
        factors = np.ones(4)
        factors[band] = 2 ** (0.8 * values[band]) if applied[band] else 1
        gains = gains * factors / np.sqrt(np.sum(np.array([10, 1, 1, 1]) / 13 * factors**2))
    taps = gains @ image_filter.filter_bank()
    return correlate1d(
        correlate1d(np.asarray(image, np.float64), taps, axis=0, mode="mirror"), taps, axis=1, mode="mirror"
    )


def test_it_agrees_with_a_slow_reference():
    images = _images()
    draws = augment.draw(jax.random.key(4), SPEC, 3, images.shape[1:])
    applied = draws.imgfilter.gate < 0.7 * np.array(SPEC.imgfilter_bands)
    assert applied.any() and not applied.all()
    found = image_filter.transform(images, draws, 0.7 * P, SPEC)
    expected = [_slow(*arguments) for arguments in zip(images, draws.imgfilter.value, applied)]
    np.testing.assert_allclose(found, expected, atol=3e-5)


def test_bands_of_strength_zero_are_left_out_at_a_percentile():
    images = _images()
    draws = augment.percentile_draws(0.8, SPEC, 3)
    expected = [_slow(image, draws.imgfilter.value[0], (True, False, True, True)) for image in images]
    np.testing.assert_allclose(image_filter.transform(images, draws, P, SPEC), expected, atol=3e-5)


def test_the_bands_add_up_to_the_identity():
    bank = image_filter.filter_bank()
    assert bank.shape == (4, 43)
    np.testing.assert_allclose(bank.sum(axis=0), np.eye(43)[21], atol=1e-12)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-12)


def test_bands_are_octaves():
    """The constant belongs to the first, the fastest alternation to the last, and each peaks above the one before."""
    response = np.abs(np.fft.rfft(image_filter.filter_bank(), 512, axis=1))
    np.testing.assert_allclose(response[:, 0], [1, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(response[:, -1], [0, 0, 0, 1], atol=1e-9)
    assert np.all(np.diff(response.argmax(axis=1)) > 0)


def test_without_any_gain_images_pass():
    images = _images()
    draws = augment.draw(jax.random.key(0), SPEC, 3, images.shape[1:])
    np.testing.assert_allclose(image_filter.transform(images, draws, 0 * P, SPEC), images, atol=1e-5)


def test_the_gradient_is_the_transpose():
    with jax.enable_x64(True):
        images = jnp.asarray(_images(), float)
        cotangent, tangent = images[::-1], jnp.sin(images)
        draws = augment.draw(jax.random.key(0), SPEC, 3, images.shape[1:])
        function = lambda images: image_filter.transform(images, draws, jnp.ones(()), SPEC)
        found, pullback = jax.vjp(function, tangent)
        np.testing.assert_allclose(jnp.vdot(found, cotangent), jnp.vdot(tangent, pullback(cotangent)[0]), rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 21, 30, 1), (1, 30, 16, 1)])
def test_small_images_are_refused(shape):
    draws = augment.draw(jax.random.key(0), SPEC, 1, shape[1:])
    with pytest.raises(ValueError, match=f"images: found {shape[1]} x {shape[2]} pixels.*at least 22"):
        image_filter.transform(_images(shape), draws, P, SPEC)


def test_the_smallest_images_work():
    images = _images((1, 22, 22, 1))
    draws = augment.percentile_draws(0.7, SPEC, 1)
    expected = _slow(images[0], draws.imgfilter.value[0], (True, False, True, True))
    np.testing.assert_allclose(image_filter.transform(images, draws, P, SPEC)[0], expected, atol=3e-5)
