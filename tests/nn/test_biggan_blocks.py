"""Norms by a vector and the blocks of BigGAN-deep; whole networks are compared with the reference in tests/parity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.nn.biggan_blocks import DeepDiscriminatorBlock, DeepGeneratorBlock, VectorNorm, VectorNormConfig
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norm_config import NormConfig

KEY = jax.random.key(0)
NOTHING = Condition()
X = np.random.default_rng(0).normal(size=(2, 4, 6, 8)).astype(np.float32)


def _filled(block, *inputs):
    """Random variables, nowhere zero in expectation."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(block.init, KEY, *inputs)
    return jax.tree.map(lambda leaf: (0.3 + rng.normal(size=leaf.shape)).astype(np.float32), shapes)


def _relu(x):
    return np.maximum(x, 0)


def _conv(x, layer):
    """Every pixel's window times the kernel."""
    size = layer["kernel"].shape[0]
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.einsum("nhwcyx,yxco->nhwo", windows, layer["kernel"]) + layer["bias"]


def _pooled(x):
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean(axis=(2, 4))


def _repeated(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def test_vector_norm_is_linear_in_the_vector():
    """x_hat (1 + y A) + y B; its settings reach the layer, and afterwards comes a norm without classes."""
    choice = VectorNormConfig(eps=0.5, momentum=0.25, unbiased=False)
    y = np.random.default_rng(2).normal(size=(2, 3)).astype(np.float32)
    norm = VectorNorm(choice)
    variables = _filled(norm, X, Condition(y))
    call = lambda variables: norm.apply(variables, X, Condition(y), train=True, mutable=["batch_stats"])
    found, state = program(call)(variables)
    mean, var = X.mean(axis=(0, 1, 2)), X.var(axis=(0, 1, 2))
    kernels = variables["params"]["norm"]
    gain, offset = (1 + y @ kernels["gain"]["kernel"]), y @ kernels["offset"]["kernel"]
    expected = (X - mean) / np.sqrt(var + 0.5) * gain[:, None, None] + offset[:, None, None]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    running = variables["batch_stats"]["norm"]["var"]
    np.testing.assert_allclose(state["batch_stats"]["norm"]["var"], 0.75 * running + 0.25 * var, rtol=1e-5)
    assert choice.without_classes() == NormConfig("batch", eps=0.5, momentum=0.25, unbiased=False)


def test_vector_norm_takes_spectral_normalization_and_an_initializer():
    choice = VectorNormConfig(spectral=SpectralNorm(), initializer="normal")
    variables = program(lambda: VectorNorm(choice).init(KEY, X, Condition(jnp.ones((2, 50)))))()
    assert set(variables["spectral"]["norm"]) == {"gain", "offset"}
    kernel = variables["params"]["norm"]["gain"]["kernel"]
    assert 0.01 < np.std(kernel) < 0.03


def test_vector_norm_needs_a_vector():
    with pytest.raises(ValueError, match=r"^condition\.z: found None, allowed: "):
        jax.eval_shape(VectorNorm(VectorNormConfig()).init, KEY, X, NOTHING)


@pytest.mark.parametrize(("features", "upsampling"), [(8, None), (5, "nearest")])
def test_deep_generator_block(features, upsampling):
    """Two channels inside; x keeps its first channels."""
    block = DeepGeneratorBlock(features, norm=NormConfig("none"), upsampling=upsampling)
    variables = _filled(block, X, NOTHING)
    layers = variables["params"]
    up = _repeated if upsampling else (lambda x: x)
    y = up(_relu(_conv(_relu(X), layers["conv1"])))
    y = _conv(_relu(_conv(y, layers["conv2"])), layers["conv3"])
    expected = up(X[..., :features]) + _conv(_relu(y), layers["conv4"])
    assert layers["conv2"]["kernel"].shape == (3, 3, 2, 2)
    found = program(block.apply)(variables, X, NOTHING)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_deep_generator_block_normalizes_before_each_convolution():
    block = DeepGeneratorBlock(8, norm=VectorNormConfig(), upsampling=None)
    shapes = jax.eval_shape(block.init, KEY, X, Condition(jnp.ones((2, 3))))
    found = {name: shapes["params"][name]["norm"]["gain"]["kernel"].shape for name in shapes["batch_stats"]}
    assert found == {"norm1": (3, 8), "norm2": (3, 2), "norm3": (3, 2), "norm4": (3, 2)}


@pytest.mark.parametrize("activated", [True, False])
@pytest.mark.parametrize(("features", "downsample"), [(8, False), (12, True)])
def test_deep_discriminator_block(features, downsample, activated):
    """A quarter of its output inside; further channels come from the pooled x."""
    block = DeepDiscriminatorBlock(features, downsample, activated)
    variables = _filled(block, X)
    layers = variables["params"]
    down = _pooled if downsample else (lambda x: x)
    y = _relu(_conv(_relu(_conv(_relu(X), layers["conv1"])), layers["conv2"]))
    y = _conv(down(_relu(_conv(y, layers["conv3"]))), layers["conv4"])
    shortcut = down(_relu(X) if activated else X)
    if features > 8:
        shortcut = np.concatenate([shortcut, _conv(shortcut, layers["shortcut"])], axis=-1)
    assert ("shortcut" in layers) == (features > 8) and layers["conv2"]["kernel"].shape == (3, 3, *(features // 4,) * 2)
    found = program(block.apply)(variables, X)
    np.testing.assert_allclose(found, shortcut + y, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("spectral", [None, SpectralNorm()])
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_settings_of_the_convolutions_reach_them(spectral, dtype):
    for block, inputs in (
        (DeepGeneratorBlock(4, norm=NormConfig("none"), spectral=spectral, dtype=dtype), (X, NOTHING)),
        (DeepDiscriminatorBlock(12, spectral=spectral, dtype=dtype), (X,)),
    ):
        x = inputs[0].astype(dtype or X.dtype)
        output, variables = jax.eval_shape(block.init_with_output, KEY, x, *inputs[1:])
        assert output.dtype == (dtype or jnp.float32)
        assert len(variables.get("spectral", {})) == (len(variables["params"]) if spectral else 0)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("block", "inputs"),
    [
        (DeepGeneratorBlock(9, norm=NormConfig("none")), (X, NOTHING)),
        (DeepGeneratorBlock(2, norm=NormConfig("none")), (X[..., :3], NOTHING)),
        (DeepDiscriminatorBlock(7), (X,)),
        (DeepDiscriminatorBlock(3), (X[..., :3],)),
    ],
)
def test_wrong_numbers_of_channels_are_refused(block, inputs):
    with pytest.raises(ValueError, match="found .*, allowed: at least "):
        jax.eval_shape(block.init, KEY, *inputs)
