"""Styled convolution layers and RGB outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.nn.style_layers import SynthesisLayer, ToRGB

X = jax.random.normal(jax.random.key(0), (2, 4, 6, 3))
W = jax.random.normal(jax.random.key(1), (2, 5))
LAYER = SynthesisLayer(4, conv_clamp=1.0)


@functools.cache
def _variables():
    variables = jax.jit(LAYER.init)(jax.random.key(2), X, W)
    variables["params"]["bias"] = jnp.arange(4.0) / 4
    variables["params"]["noise_strength"] = jnp.float32(0.3)
    return variables


@functools.partial(jax.jit, static_argnames=["layer", "noise_mode", "gain"])
def _apply(layer, variables, key=None, noise_mode="const", gain=1.0):
    return layer.apply(variables, X, W, noise_mode=noise_mode, gain=gain, rngs=None if key is None else {"noise": key})


def _styles(affine):
    weight = np.asarray(affine["weight"], np.float64)
    return np.asarray(W, np.float64) @ weight / np.sqrt(5) + np.asarray(affine["bias"], np.float64)


def test_layer_is_the_papers_formula():
    params = _variables()["params"]
    weight = np.asarray(params["weight"], np.float64)  # [K, K, I, O]
    modulated = weight * _styles(params["affine"])[:, None, None, :, None]  # [N, K, K, I, O]
    modulated /= np.sqrt(np.sum(modulated**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
    padded = np.pad(np.asarray(X, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [(i, j) for i in range(3) for j in range(3)]
    y = sum(np.einsum("nhwi,nio->nhwo", padded[:, i : i + 4, j : j + 6], modulated[:, i, j]) for i, j in taps)
    y = y + 0.3 * np.asarray(_variables()["buffers"]["noise_const"])[:, :, None] + np.arange(4.0) / 4
    y = np.where(y > 0, y, 0.2 * y) * np.sqrt(2)
    for gain in (1.0, 0.5):
        expected = np.clip(y * gain, -gain, gain)
        np.testing.assert_allclose(_apply(LAYER, _variables(), gain=gain), expected, rtol=1e-5, atol=1e-5)


def test_initial_values():
    variables = jax.jit(SynthesisLayer(64).init)(jax.random.key(2), X, W)
    assert np.all(np.asarray(variables["params"]["affine"]["bias"]) == 1)
    assert variables["params"]["noise_strength"] == 0 and variables["params"]["noise_strength"].shape == ()
    assert not np.any(variables["params"]["bias"])
    assert variables["buffers"]["noise_const"].shape == (4, 6)
    assert abs(np.std(variables["params"]["weight"]) - 1) < 0.05


def test_random_noise_differs_between_samples_and_keys_but_not_between_calls():
    layer = LAYER.clone(conv_clamp=None)
    noise = lambda key: (
        np.asarray(_apply(layer, _variables(), key, noise_mode="random"))
        - np.asarray(_apply(layer, _variables(), noise_mode="none"))
    )
    first, again, other = noise(jax.random.key(0)), noise(jax.random.key(0)), noise(jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert np.min(np.max(np.abs(first - other), axis=(1, 2, 3))) > 0.1
    assert np.max(np.abs(first[0] - first[1])) > 0.1


def test_constant_noise_ignores_the_key():
    np.testing.assert_array_equal(
        _apply(LAYER, _variables(), jax.random.key(0)), _apply(LAYER, _variables(), jax.random.key(1))
    )


def test_layer_without_noise_has_neither_strength_nor_buffer():
    variables = jax.eval_shape(LAYER.clone(use_noise=False).init, jax.random.key(2), X, W)
    assert "noise_strength" not in variables["params"] and "buffers" not in variables


def test_unknown_noise_mode_is_refused():
    with pytest.raises(ValueError, match="noise_mode: found 'constant', allowed: random, const, none"):
        LAYER.apply(_variables(), X, W, noise_mode="constant")


def test_upsampling_doubles_the_grid_of_output_and_noise():
    out, variables = jax.eval_shape(LAYER.clone(up=2).init_with_output, jax.random.key(0), X, W)
    assert out.shape == (2, 8, 12, 4)
    assert variables["buffers"]["noise_const"].shape == (8, 12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_types_come_close_to_float32(dtype):
    low = _apply(LAYER.clone(dtype=dtype), _variables())
    assert low.dtype == jnp.dtype(dtype)
    np.testing.assert_allclose(np.asarray(low, np.float32), _apply(LAYER, _variables()), atol=0.05)


def test_rgb_is_a_scaled_sum_over_channels_without_demodulation():
    layer = ToRGB(2, conv_clamp=0.5)
    variables = layer.init(jax.random.key(3), X, W)
    variables["params"]["bias"] = jnp.array([0.1, -0.1])
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    styles = _styles(params["affine"]) / np.sqrt(3)
    y = np.einsum("nhwi,ni,io->nhwo", np.asarray(X, np.float64), styles, params["weight"][0, 0]) + params["bias"]
    found = layer.apply(variables, X, W)
    np.testing.assert_allclose(found, np.clip(y, -0.5, 0.5), rtol=1e-5, atol=1e-6)
    assert np.max(found) == 0.5
