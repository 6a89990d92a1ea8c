"""Dense and convolutional layers with an equalized learning rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.nn.equalized import EqualizedConv, FullyConnected, fir_filter, scaled_bias_act


def _leaky(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def test_dense_layer_is_the_scaled_affine_map():
    layer = FullyConnected(5, activation="lrelu", lr_multiplier=0.1, bias_init=2.0)
    x = jax.random.normal(jax.random.key(0), (3, 7))
    variables = layer.init(jax.random.key(1), x)
    weight, bias = (np.asarray(variables["params"][name], np.float64) for name in ("weight", "bias"))
    expected = _leaky(np.asarray(x, np.float64) @ (weight * 0.1 / np.sqrt(7)) + bias * 0.1)
    np.testing.assert_allclose(layer.apply(variables, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(layer.apply)(variables, x), expected, rtol=1e-5, atol=1e-6)
    assert np.all(bias == 2)


def test_dense_weights_start_at_one_over_the_multiplier():
    params = FullyConnected(300, lr_multiplier=0.01).init(jax.random.key(1), jnp.ones((1, 200)))["params"]
    assert abs(np.std(params["weight"]) / 100 - 1) < 0.02
    assert params["weight"].dtype == jnp.float32 and not np.any(params["bias"])


def test_dense_layer_never_computes_below_float32():
    layer = FullyConnected(2, use_bias=False)
    variables = layer.init(jax.random.key(0), jnp.ones((1, 3)))
    assert layer.apply(variables, jnp.ones((1, 3), jnp.bfloat16)).dtype == jnp.float32
    assert list(variables["params"]) == ["weight"]


def test_convolution_is_the_sum_over_shifted_pixels():
    layer = EqualizedConv(4, kernel_size=3, activation="lrelu", conv_clamp=1.0)
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    params = {"weight": jax.random.normal(jax.random.key(1), (3, 3, 3, 4)), "bias": jnp.arange(4.0) / 4}
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    weight = np.asarray(params["weight"], np.float64) / np.sqrt(27)
    expected = sum(padded[:, i : i + 5, j : j + 6] @ weight[i, j] for i in range(3) for j in range(3))
    expected = _leaky(expected + np.asarray(params["bias"]))
    for gain in (1.0, 0.5):
        found = layer.apply({"params": params}, x, gain=gain)
        np.testing.assert_allclose(found, np.clip(expected * gain, -gain, gain), rtol=1e-5, atol=1e-5)
        assert np.max(np.abs(found)) == gain


@pytest.mark.parametrize(("options", "shape"), [({"up": 2}, (1, 8, 12, 4)), ({"down": 2}, (1, 2, 3, 4))])
def test_resampling_changes_the_grid(options, shape):
    layer = EqualizedConv(4, kernel_size=3, **options)
    out, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.ones((1, 4, 6, 2)))
    assert out.shape == shape
    assert variables["params"]["weight"].shape == (3, 3, 2, 4)


def test_compute_type_is_that_of_the_field():
    layer = EqualizedConv(4, kernel_size=1, dtype="bfloat16")
    x = jnp.ones((1, 2, 2, 3))
    out, variables = layer.init_with_output(jax.random.key(0), x)
    assert out.dtype == jnp.bfloat16 and variables["params"]["weight"].dtype == jnp.float32
    np.testing.assert_allclose(out, layer.clone(dtype=None).apply(variables, x), rtol=2e-2, atol=2e-2)


def test_gain_scales_value_and_clamp():
    x = jnp.array([[-3.0, 0.25, 3.0]])
    y = scaled_bias_act(x, None, activation="linear", gain=0.5, clamp=1.0)
    np.testing.assert_allclose(y, [[-0.5, 0.125, 0.5]])


def test_filter_is_normalized_in_float64():
    assert fir_filter((1, 2, 4)).dtype == np.float64
    assert abs(fir_filter((1, 2, 4)).sum() - 1) < 1e-15


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match="x: found shape"):
        EqualizedConv(4, kernel_size=3).init(jax.random.key(0), jnp.ones((4, 4, 3)))
    with pytest.raises(ValueError, match="activation: found 'gelu'"):
        FullyConnected(4, activation="gelu").init(jax.random.key(0), jnp.ones((4, 3)))
