"""Self-attention against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives, program

from flaxgan.nn.attention import SelfAttention
from flaxgan.nn.layers import SpectralNorm


def _normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def _slow(x, params):
    """Pixel by pixel, in float64."""
    project = lambda x, name: x @ params[name]["kernel"][0, 0] + params[name].get("bias", 0)
    batch, height, width, _ = x.shape
    out = np.zeros_like(x, np.float64)
    for n in range(batch):
        corners = [(row, column) for row in range(0, height - 1, 2) for column in range(0, width - 1, 2)]
        pool = lambda name, n=n, corners=corners: np.stack(
            [project(x[n, row : row + 2, column : column + 2], name).max((0, 1)) for row, column in corners]
        )
        keys, values = pool("phi"), pool("g")
        for row in range(height):
            for column in range(width):
                weights = np.exp(keys @ project(x[n, row, column], "theta"))
                mixture = weights @ values / weights.sum()
                out[n, row, column] = x[n, row, column] + params["gamma"] * project(mixture, "o")
    return out


@pytest.mark.parametrize(("shape", "use_bias"), [((2, 4, 6, 16), False), ((1, 5, 3, 9), True), ((1, 2, 2, 4), False)])
def test_matches_the_definition(shape, use_bias):
    layer, x = SelfAttention(use_bias=use_bias), _normal(*shape)
    params = program(layer.init)(jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda leaf: _normal(*leaf.shape) / 2, params)
    y = program(layer.apply)({"params": params}, x)
    np.testing.assert_allclose(y, _slow(x.astype(np.float64), params), rtol=1e-4, atol=1e-4)


def test_starts_as_the_identity_and_learns_from_there():
    layer, x = SelfAttention(), jnp.asarray(_normal(1, 4, 4, 8))
    params = program(layer.init)(jax.random.key(0), x)["params"]
    assert params["gamma"].shape == () and params["theta"]["kernel"].shape == (1, 1, 8, 1)
    score = lambda params: jnp.sum(layer.apply({"params": params}, x) * x)
    np.testing.assert_array_equal(program(layer.apply)({"params": params}, x), x)
    assert program(jax.grad(score))(params)["gamma"] != 0


def test_first_and_second_derivatives():
    layer = SelfAttention()
    shapes = jax.eval_shape(layer.init, jax.random.key(0), jnp.ones((1, 4, 2, 3)))["params"]
    params = jax.tree.map(lambda leaf: _normal(*leaf.shape), shapes)
    theta = params.pop("theta")["kernel"]
    function = lambda x, theta: layer.apply({"params": {**params, "theta": {"kernel": theta}}}, x)
    check_derivatives(function, _normal(1, 4, 2, 3), theta, tolerance=1e-5)


def test_spectral_normalization_of_all_kernels():
    layer, x = SelfAttention(spectral=SpectralNorm()), _normal(1, 4, 4, 8)
    variables = program(layer.init)(jax.random.key(0), x)
    _, new = program(lambda: layer.apply(variables, x, train=True, mutable=["spectral"]))()
    assert set(variables["spectral"]) == {"theta", "phi", "g", "o"}
    old, new = variables["spectral"], new["spectral"]
    moved = {name: np.any(new[name]["u"] != old[name]["u"]) for name in new}
    assert moved["g"] and moved["o"]  # Here theta and phi have one row, and their u is 1 or -1.


def test_the_attention_can_be_looked_at():
    layer, x = SelfAttention(dtype="bfloat16"), jnp.asarray(_normal(2, 4, 6, 8), jnp.bfloat16)
    variables = program(layer.init)(jax.random.key(0), x)
    y, new = program(lambda: layer.apply(variables, x, mutable=["intermediates"]))()
    attention = new["intermediates"]["attention"][0]
    assert y.dtype == jnp.bfloat16 and attention.dtype == jnp.float32 and attention.shape == (2, 24, 6)
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 8), (1, 1, 4, 8)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"^x: found shape"):
        SelfAttention().init(jax.random.key(0), jnp.ones(shape))
