"""Penalties in first-order form against the derivatives of derivatives that they stand for; penalties on weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.losses.penalties import (
    input_gradient_norm_penalty,
    input_gradient_penalty,
    orthogonality,
    path_length_penalty,
)
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


def evaluated(penalty, *arguments, compiled=True):
    """What a penalty returns, and the gradients of its mean with respect to the first two arguments."""

    def mean_penalty(*arguments):
        results = penalty(*arguments)
        return jnp.mean(results[0] if isinstance(results, tuple) else results), results

    differentiate = jax.grad(mean_penalty, argnums=(0, 1), has_aux=True)
    gradients, results = (jax.jit(differentiate) if compiled else differentiate)(*arguments)
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


OF_NORMS = {
    "two-sided": lambda norms: (norms - 2) ** 2,
    "one-sided": lambda norms: jnp.maximum(norms - 2, 0) ** 2,
    "largest": lambda norms: jnp.broadcast_to(jnp.max(norms) ** 2, norms.shape),
}
"""The norms of these images lie on both sides of 2."""


def plain_norm_penalty(params, images, penalize, epsilon):
    return penalize(jnp.sqrt(plain_r1(params, images) + epsilon))


def first_order_norm_penalty(params, images, penalize, epsilon):
    discriminator = lambda images: discriminate(params, images)
    return input_gradient_norm_penalty(discriminator, images, penalize, epsilon=epsilon)


def test_functions_of_the_norm_equal_reverse_over_reverse():
    """All in one program, with and without an epsilon."""

    def of_all(penalty, params, images):
        forms = {(name, epsilon): (f, epsilon) for name, f in OF_NORMS.items() for epsilon in (0.0, 0.3)}
        return [evaluated(penalty, params, images, *form, compiled=False) for form in forms.values()]

    with jax.enable_x64(True):
        params, images = d_params(), normal(6, IMAGES, SIDE, SIDE, CHANNELS)
        found, expected = jax.jit(
            lambda *arrays: (of_all(first_order_norm_penalty, *arrays), of_all(plain_norm_penalty, *arrays))
        )(params, images)
        norms = np.sqrt(plain_r1(params, images))
    assert_close(found, expected, 1e-12)
    assert np.min(norms) < 1.9 and np.max(norms) > 2.1, norms


def test_a_gradient_of_zero_has_the_norm_zero_and_is_not_moved():
    images = jnp.ones((2, SIDE, SIDE, 1))
    penalty = lambda slope, images: input_gradient_norm_penalty(
        lambda images: slope * jnp.sum(images, axis=(1, 2, 3)), images, lambda norms: (norms - 1) ** 2
    )
    value, (by_slope, _) = evaluated(penalty, jnp.asarray(0.0), images)
    np.testing.assert_array_equal(value, [1, 1])
    assert by_slope == 0


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


def test_orthogonality_of_every_kernel_by_rows_of_outputs():
    rng = np.random.default_rng(10)
    params = {
        "conv": {"kernel": rng.normal(size=(2, 2, 3, 4)), "bias": rng.normal(size=4)},
        "block": {"dense": {"weight": rng.normal(size=(5, 3))}, "const": rng.normal(size=(4, 4, 3))},
        "shared": {"embedding": rng.normal(size=(6, 2))},
        "norm": {"weight": rng.normal(size=7)},
    }
    kernels = [params["conv"]["kernel"].reshape(-1, 4).T, params["block"]["dense"]["weight"].T]

    def expected(matrices, wanted):
        """Sum over pairs of rows of (their product - the wanted one)^2."""
        total = 0
        for rows in matrices:
            for i, j in np.ndindex(len(rows), len(rows)):
                total += 0 if i == j and wanted is None else (rows[i] @ rows[j] - (i == j)) ** 2
        return total

    np.testing.assert_allclose(orthogonality(params), expected(kernels, None), rtol=1e-5)
    np.testing.assert_allclose(orthogonality(params, off_diagonal=False), expected(kernels, 1), rtol=1e-5)
    with_table = [*kernels, params["shared"]["embedding"]]
    np.testing.assert_allclose(orthogonality(params, embeddings=True), expected(with_table, None), rtol=1e-5)


def test_a_tree_without_kernels_is_refused():
    with pytest.raises(ValueError, match="params: found no kernel"):
        orthogonality({"norm": {"bias": jnp.zeros(3)}})
