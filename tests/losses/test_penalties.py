"""Penalties in first-order form against the derivatives of derivatives that they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.losses.penalties import input_gradient_penalty, path_length_penalty
from flaxgan.ops.minibatch_stddev import minibatch_stddev

IMAGES, SIDE, CHANNELS, LAYERS, WIDTH = 4, 5, 2, 3, 4
DECAY = 0.3  # Large, so that the moving average's share of the gradient counts.


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def d_params():
    channels = CHANNELS + 1
    return {"conv": normal(0, 3, 3, channels, 3), "dense": normal(1, SIDE * SIDE * 3, 4), "out": normal(2, 4)}


def discriminate(params, images):
    """A network in which the images of a batch see each other."""
    x = jnp.tanh(minibatch_stddev(images, group_size=2))
    x = jax.lax.conv_general_dilated(x, params["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    x = jax.nn.softplus(x).reshape(x.shape[0], -1)
    return jnp.tanh(0.1 * x @ params["dense"]) @ params["out"]


def g_params():
    return {
        "mapping": normal(3, WIDTH, WIDTH),
        "pixels": normal(4, LAYERS, WIDTH, SIDE, SIDE, CHANNELS),
        "gains": normal(5, WIDTH, CHANNELS),
    }


def map_latents(params, z):
    """One w for each image, which its layers share up to a factor."""
    w = jnp.tanh(z @ params["mapping"])
    return w[:, None, :] * jnp.arange(1.0, LAYERS + 1)[:, None]  # [N, L, D]


def synthesize(params, ws):
    x = jnp.tanh(jnp.einsum("nld,ldhwc->nhwc", ws, params["pixels"]))
    return x * (ws[:, -1] @ params["gains"])[:, None, None, :] ** 2


def plain_r1(params, images):
    """|grad_x sum(D(x))|^2 [N], for reverse over reverse."""
    gradient = jax.grad(lambda images: jnp.sum(discriminate(params, images)))(images)
    return jnp.sum(gradient**2, axis=(1, 2, 3))


def first_order_r1(params, images):
    return input_gradient_penalty(lambda images: discriminate(params, images), images)


def plain_path_length(params, z, noise, pl_mean):
    """(penalty [N], the new pl_mean, lengths [N]), for reverse over reverse."""
    y = noise / np.sqrt(SIDE * SIDE)
    product = jax.grad(lambda ws: jnp.sum(synthesize(params, ws) * y))(map_latents(params, z))
    lengths = jnp.sqrt(jnp.mean(jnp.sum(product**2, axis=2), axis=1))
    new_mean = pl_mean + DECAY * (jnp.mean(lengths) - pl_mean)
    return (lengths - new_mean) ** 2, new_mean, lengths


def first_order_path_length(params, z, noise, pl_mean):
    ws = map_latents(params, z)
    return path_length_penalty(lambda ws: synthesize(params, ws), ws, noise, pl_mean, decay=DECAY)


def evaluated(penalty, *arguments):
    """What a penalty returns, and the gradients of its mean with respect to the first two arguments, compiled."""

    def mean_penalty(*arguments):
        results = penalty(*arguments)
        return jnp.mean(results[0] if isinstance(results, tuple) else results), results

    gradients, results = jax.jit(jax.grad(mean_penalty, argnums=(0, 1), has_aux=True))(*arguments)
    return results, gradients


def assert_close(found, expected, tolerance):
    def check(found, expected):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.max(np.abs(expected)))

    jax.tree.map(check, found, expected)


def test_input_gradient_penalty_equals_reverse_over_reverse():
    with jax.enable_x64(True):
        arguments = d_params(), normal(6, IMAGES, SIDE, SIDE, CHANNELS)
        assert_close(evaluated(first_order_r1, *arguments), evaluated(plain_r1, *arguments), 1e-12)


def test_path_length_penalty_equals_reverse_over_reverse():
    with jax.enable_x64(True):
        noise = normal(8, IMAGES, SIDE, SIDE, CHANNELS)
        arguments = g_params(), normal(7, IMAGES, WIDTH), noise, jnp.asarray(0.7)
        found = evaluated(first_order_path_length, *arguments)
        assert_close(found, evaluated(plain_path_length, *arguments), 1e-12)


def test_input_gradient_penalty_of_a_linear_network():
    slopes, images = normal(9, SIDE, SIDE, CHANNELS), normal(6, IMAGES, SIDE, SIDE, CHANNELS)
    penalty = lambda slopes, images: input_gradient_penalty(
        lambda images: jnp.einsum("nhwc,hwc->n", images, slopes), images
    )
    results, (by_slopes, by_images) = evaluated(penalty, slopes, images)
    np.testing.assert_allclose(results, np.full(IMAGES, np.sum(np.square(slopes))), rtol=1e-5)
    np.testing.assert_allclose(by_slopes, 2 * slopes, rtol=1e-5)
    np.testing.assert_array_equal(by_images, np.zeros_like(images))


def test_path_length_penalty_of_a_linear_network():
    """One pixel, one layer: with y = noise / 1, J^T y = noise * slopes."""
    slopes, noise = jnp.asarray([3.0, 4.0]), jnp.asarray([2.0, -1.0]).reshape(2, 1, 1, 1)
    synthesize = lambda ws: jnp.einsum("nld,d->n", ws, slopes)[:, None, None, None]
    penalty, new_mean, lengths = path_length_penalty(synthesize, jnp.ones((2, 1, 2)), noise, 4.0, decay=0.5)
    np.testing.assert_allclose(lengths, [10, 5], rtol=1e-6)
    np.testing.assert_allclose(new_mean, 4 + 0.5 * (7.5 - 4), rtol=1e-6)
    np.testing.assert_allclose(penalty, [(10 - 5.75) ** 2, (5 - 5.75) ** 2], rtol=1e-5)


def test_jit_equals_eager():
    arguments = d_params(), normal(6, IMAGES, SIDE, SIDE, CHANNELS)
    assert_close(jax.jit(first_order_r1)(*arguments), first_order_r1(*arguments), 1e-5)
    arguments = g_params(), normal(7, IMAGES, WIDTH), normal(8, IMAGES, SIDE, SIDE, CHANNELS), 0.7
    assert_close(jax.jit(first_order_path_length)(*arguments), first_order_path_length(*arguments), 1e-5)


def test_wrong_shapes_raise():
    images = jnp.zeros((IMAGES, SIDE, SIDE, CHANNELS))
    with pytest.raises(ValueError, match=r"discriminate: found logits of shape \(4, 1\), allowed: \(4,\)"):
        input_gradient_penalty(lambda images: jnp.sum(images, axis=(1, 2, 3))[:, None], images)
    ws = jnp.zeros((IMAGES, LAYERS, WIDTH))
    synthesize = lambda ws: images + jnp.sum(ws)
    with pytest.raises(ValueError, match=r"image_noise: found shape \(2, 5, 5, 2\), allowed: \(4, 5, 5, 2\)"):
        path_length_penalty(synthesize, ws, images[:2], 0.0)
