import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import augment

EVERYTHING = augment.preset("bgcfnc")
SHAPE = (2, 24, 26, 3)


def _images(shape=SHAPE):
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, shape), float)


def _draws(spec=EVERYTHING, shape=SHAPE, seed=0):
    return augment.draw(jax.random.key(seed), spec, shape[0], shape[1:])


def test_without_augmentations_it_is_the_identity():
    images = _images()
    assert augment.augment(images, augment.Draws(), 1.0, augment.AugmentSpec()) is images


@pytest.mark.parametrize("name, error", [("bgcfnc", 2e-5), ("color", 1e-6), ("noise", 0), ("cutout", 0)])
def test_with_probability_zero_images_change_by_rounding_only(name, error):
    spec = augment.preset(name)
    found = augment.augment(_images(), _draws(spec), 0.0, spec)
    np.testing.assert_allclose(found, _images(), atol=error)


def test_every_step_has_its_part():
    """Whatever preset is left out of the whole, the result is another one."""
    images, draws = _images(), _draws()
    whole = augment.augment(images, draws, 1.0, EVERYTHING)
    for name in ("bgcf", "bgcfn"):
        assert float(jnp.max(jnp.abs(augment.augment(images, draws, 1.0, augment.preset(name)) - whole))) > 1e-2


def test_jit_with_a_traced_probability_equals_eager():
    with jax.enable_x64(True):
        images, draws = _images(), _draws()
        jitted = jax.jit(augment.augment, static_argnums=3)
        for p in (0.3, 1.0):
            expected = augment.augment(images, draws, p, EVERYTHING)
            np.testing.assert_allclose(jitted(images, draws, p, EVERYTHING), expected, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_any_number_of_channels(channels):
    images = _images((*SHAPE[:3], channels))
    draws = _draws(shape=images.shape)
    found = augment.augment(images, draws, 1.0, EVERYTHING)
    assert found.shape == images.shape and np.all(np.isfinite(found))
    if channels in (2, 4):
        geometry_and_rest = dict.fromkeys(("brightness", "contrast", "lumaflip", "hue", "saturation"), 0.0)
        spec = augment.AugmentSpec(**{**vars(EVERYTHING), **geometry_and_rest})
        alone = augment.augment(images, draws, 1.0, spec)
        np.testing.assert_allclose(found[..., -1], alone[..., -1], atol=1e-5)


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    images, draws = _images(), _draws()
    second = jax.tree.map(lambda x: x[1:], draws)
    alone = augment.augment(images[1:], second, 1.0, EVERYTHING)
    np.testing.assert_allclose(augment.augment(images, draws, 1.0, EVERYTHING)[1:], alone, atol=1e-5)


def _discriminate(weight, images):
    """A small network whose curvature is not zero."""
    return jnp.sum(jnp.tanh(jnp.einsum("nhwc,hwcf->nf", images, weight)) ** 2, axis=1)


def test_derivatives_of_first_and_second_order_against_finite_differences():
    """Of D(augment(x)), and of its gradient penalty in the form that training uses: reverse over forward."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        images, weight, direction = (
            jnp.asarray(rng.normal(size=shape)) for shape in (SHAPE, (*SHAPE[1:], 4), (*SHAPE[1:], 4))
        )
        weight, draws = weight / 20, _draws()
        augmented = lambda images: augment.augment(images, draws, 0.9, EVERYTHING)
        score = jax.jit(lambda weight, images: jnp.sum(_discriminate(weight, augmented(images))))
        slope = jax.jit(jax.grad(score, argnums=1))

        step = 1e-5 * jnp.asarray(rng.normal(size=SHAPE))
        difference = score(weight, images + step) - score(weight, images - step)
        np.testing.assert_allclose(difference, 2 * jnp.vdot(slope(weight, images), step), rtol=1e-6)

        @jax.jit
        def penalty_gradient(weight):
            tangent = slope(weight, images)
            forward = lambda weight: jax.jvp(functools.partial(score, weight), (images,), (tangent,))[1]
            return 2 * jax.grad(forward)(weight)

        penalty = lambda weight: jnp.sum(slope(weight, images) ** 2)
        difference = (penalty(weight + 1e-6 * direction) - penalty(weight - 1e-6 * direction)) / 2e-6
        np.testing.assert_allclose(jnp.vdot(penalty_gradient(weight), direction), difference, rtol=1e-6)


@pytest.mark.parametrize("shape", [(24, 26, 3), (0, 24, 26, 3), (1, 2, 24, 26, 3)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"images: found shape .*allowed: \[N, H, W, C\]"):
        augment.augment(jnp.zeros(shape), _draws(), 1.0, EVERYTHING)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.bfloat16])
def test_another_type_is_refused(dtype):
    with pytest.raises(ValueError, match=f"images: found {jnp.dtype(dtype)}, allowed: float32 or float64"):
        augment.augment(jnp.zeros(SHAPE, dtype), _draws(), 1.0, EVERYTHING)


def test_draws_of_another_spec_or_batch_are_refused():
    with pytest.raises(ValueError, match="draws.brightness: found numbers of None images, allowed: 2"):
        augment.augment(_images(), _draws(augment.preset("bg")), 1.0, augment.preset("bgc"))
    with pytest.raises(ValueError, match="draws.xflip: found numbers of 3 images, allowed: 2"):
        augment.augment(_images(), _draws(shape=(3, *SHAPE[1:])), 1.0, EVERYTHING)
    draws = _draws(augment.preset("noise"))._replace(noise_image=jnp.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"draws.noise_image: found shape \(2, 8, 8, 3\)"):
        augment.augment(_images(), draws, 1.0, augment.preset("noise"))
