"""Dense, convolutional and embedding layers, and their spectral normalization."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_reference
from derivatives import program
from flax.errors import ModifyScopeVariableError

from flaxgan.nn.layers import Conv, ConvTranspose, Dense, Embed, SpectralNorm

LAYOUT = ("NHWC", "HWIO", "NHWC")


def _normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def _apply(layer, x, **params):
    return np.asarray(program(layer.apply)({"params": params}, x))


def test_dense():
    kernel, bias, x = _normal(3, 4), _normal(4), _normal(2, 5, 3)
    np.testing.assert_allclose(_apply(Dense(4), x, kernel=kernel, bias=bias), x @ kernel + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(_apply(Dense(4, use_bias=False), x, kernel=kernel), x @ kernel, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "strides", "padding", "zeros"), [(3, 1, None, 1), (4, 2, 1, 1), (1, 2, None, 0), (5, 3, "VALID", 0)]
)
def test_convolution(size, strides, padding, zeros):
    kernel, bias, x = _normal(size, size, 2, 3), _normal(3), _normal(2, 6, 7, 2)
    y = _apply(Conv(3, size, strides, padding), x, kernel=kernel, bias=bias)
    expected = slow_reference.conv2d(x.astype(np.float64), kernel, padding=zeros)[:, ::strides, ::strides] + bias
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "strides"), [(3, 2), (4, 2), (2, 3), (4, 1)])
def test_same_padding_is_that_of_tensorflow(size, strides):
    kernel, x = _normal(size, size, 2, 3), _normal(1, 5, 8, 2)
    y = _apply(Conv(3, size, strides, "SAME", use_bias=False), x, kernel=kernel)
    expected = jax.lax.conv_general_dilated(x, kernel, (strides, strides), "SAME", dimension_numbers=LAYOUT)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "strides", "padding"), [(4, 2, 1), (5, 2, 2), (3, 1, 0), (2, 3, 0), (4, 1, 3)])
def test_transposed_convolution_spreads_each_pixel(size, strides, padding):
    kernel, bias, x = _normal(size, size, 2, 3), _normal(3), _normal(2, 4, 5, 2)
    y = _apply(ConvTranspose(3, size, strides, padding), x, kernel=kernel, bias=bias)
    heights, widths = ((pixels - 1) * strides + size for pixels in x.shape[1:3])
    full = np.zeros((2, heights, widths, 3))
    for row in range(4):
        for column in range(5):
            place = np.s_[:, row * strides : row * strides + size, column * strides : column * strides + size]
            full[place] += np.einsum("ni,yxio->nyxo", x[:, row, column], kernel)
    expected = full[:, padding : heights - padding, padding : widths - padding] + bias
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_embedding_of_indices_and_of_weights():
    table = _normal(4, 3)
    np.testing.assert_array_equal(_apply(Embed(4, 3), jnp.asarray([2, 0]), embedding=table), table[[2, 0]])
    weights = _normal(5, 4)
    np.testing.assert_allclose(_apply(Embed(4, 3), weights, embedding=table), weights @ table, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [Dense(3), Conv(3), Conv(3, 4, 2, 1), ConvTranspose(3)], ids=repr)
def test_computes_in_its_dtype_with_float32_parameters(layer):
    layer = layer.clone(dtype="bfloat16", spectral=SpectralNorm())
    shapes = jax.eval_shape(lambda x: layer.init_with_output(jax.random.key(0), x), jnp.ones((1, 4, 6, 2)))
    assert shapes[0].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes[1])} == {jnp.dtype("float32")}


LAYERS = {
    "dense": (Dense(3), (2, 4), "kernel", 4),
    "conv": (Conv(3), (1, 4, 4, 2), "kernel", 18),
    "conv_transpose": (ConvTranspose(3), (1, 3, 3, 2), "kernel", 32),
    "embed": (Embed(5, 3), (2, 5), "embedding", 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_normalization_of_each_layer(name):
    """After many steps the weight is divided by its largest singular value, in training and in evaluation."""
    plain, shape, parameter, columns = LAYERS[name]
    layer = plain.clone(spectral=SpectralNorm(iterations=12))
    x = _normal(*shape)
    variables = program(layer.init)(jax.random.key(0), x)
    assert variables["spectral"]["v"].shape == (columns,)
    np.testing.assert_allclose([np.linalg.norm(variables["spectral"][key]) for key in "uv"], 1, rtol=1e-6)
    weight = variables["params"][parameter] * np.asarray([5, 1, 1])  # One singular value stands out: few iterations do.
    variables = {**variables, "params": {**variables["params"], parameter: weight}}
    y, new = program(lambda v: layer.apply(v, x, train=True, mutable=["spectral"]))(variables)
    sigma = np.linalg.svd(weight.reshape(-1, weight.shape[-1]))[1][0]
    expected = _apply(plain, x, **{**variables["params"], parameter: weight / sigma})
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(program(layer.apply)({**variables, **new}, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("eval_iterates", [False, True])
def test_conventions_of_evaluation(eval_iterates):
    """PyTorch's uses the stored vectors; BigGAN's makes one more iteration, and what it finds is not stored."""
    layer, x = Dense(3, use_bias=False, spectral=SpectralNorm(eval_iterates=eval_iterates)), np.eye(4, dtype=np.float32)
    variables = program(layer.init)(jax.random.key(0), x)
    kernel, start = variables["params"]["kernel"], variables["spectral"]
    evaluated, after = program(lambda v: layer.apply(v, x, mutable=["spectral"]))(variables)
    trained, new = program(lambda v: layer.apply(v, x, train=True, mutable=["spectral"]))(variables)
    chex.assert_trees_all_equal(after["spectral"], start)
    assert np.max(np.abs(new["spectral"]["u"] - start["u"])) > 0.01
    sigma = lambda vectors: vectors["v"] @ kernel @ vectors["u"]
    np.testing.assert_allclose(trained, kernel / sigma(new["spectral"]), rtol=1e-5)
    np.testing.assert_allclose(evaluated, kernel / sigma(new["spectral"] if eval_iterates else start), rtol=1e-5)


def test_initialization_moves_nothing():
    """So that the first step of training starts from the vectors drawn, whatever the mode of initialization."""
    layer, x = Conv(3, spectral=SpectralNorm()), jnp.ones((1, 4, 4, 2))
    first, second = (program(lambda train=train: layer.init(jax.random.key(0), x, train=train))() for train in (0, 1))
    chex.assert_trees_all_equal(first, second)


def test_training_must_not_lose_its_vectors():
    layer, x = Dense(3, spectral=SpectralNorm()), jnp.ones((1, 4))
    variables = program(layer.init)(jax.random.key(0), x)
    with pytest.raises(ModifyScopeVariableError):
        layer.apply(variables, x, train=True)


def test_second_order_with_constant_vectors():
    """The gradient penalty of a normalized layer: derivatives by the weight of a derivative by the image."""
    layer = Conv(2, 3, spectral=SpectralNorm(), use_bias=False)
    x, direction = _normal(1, 4, 4, 2), _normal(3, 3, 2, 2)
    variables = program(layer.init)(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]

    def penalty(kernel, normalized):
        def score(x):
            y, _ = layer.apply({**variables, "params": {"kernel": kernel}}, x, train=True, mutable=["spectral"])
            return jnp.sum(jnp.tanh(y))

        def plain(x):
            sigma = jnp.vdot(u, (kernel.reshape(-1, 2).T @ v))
            return jnp.sum(jnp.tanh(Conv(2, 3, use_bias=False).apply({"params": {"kernel": kernel / sigma}}, x)))

        return jnp.sum(jnp.square(jax.grad(score if normalized else plain)(x)))

    _, new = program(lambda: layer.apply(variables, x, train=True, mutable=["spectral"]))()
    u, v = (new["spectral"][key] for key in "uv")
    hessian = lambda normalized: jax.jvp(jax.grad(lambda k: penalty(k, normalized)), (kernel,), (direction,))
    ours, expected = program(lambda: (hessian(True), hessian(False)))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: SpectralNorm(eps=0), "eps: found 0"),
        (lambda: SpectralNorm(iterations=0), "iterations: found 0"),
        (lambda: Conv(1, padding="FULL").init(jax.random.key(0), jnp.ones((1, 4, 4, 1))), "padding: found 'FULL'"),
        (lambda: Conv(1, padding=-1).init(jax.random.key(0), jnp.ones((1, 4, 4, 1))), "padding: found -1"),
        (lambda: Conv(1, 4, 2, 0).init(jax.random.key(0), jnp.ones((1, 3, 4, 1))), "x: found .* pixels after padding"),
        (lambda: Embed(3, 2).init(jax.random.key(0), None), "labels: found None"),
        (lambda: Embed(3, 2).init(jax.random.key(0), jnp.ones((1, 4))), "labels: found"),
    ],
)
def test_wrong_arguments(function, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        function()
