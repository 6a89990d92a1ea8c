"""Residual blocks; their numbers are those of the reference in tests/parity, here is how their parts come together."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.residual import INITIALIZERS, DiscriminatorBlock, GeneratorBlock, kernel_init
from flaxgan.ops.upsampling import UPSAMPLINGS, upsample

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
NOTHING = Condition()


def _variables(block, *inputs):
    """Random variables, nowhere zero in expectation."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(block.init, KEY, *inputs)
    return jax.tree.map(lambda leaf: (0.3 + rng.normal(size=leaf.shape)).astype(np.float32), shapes)


def _without_residual(variables):
    """The same, but conv2 gives zeros."""
    conv2 = jax.tree.map(jnp.zeros_like, variables["params"]["conv2"])
    return {**variables, "params": {**variables["params"], "conv2": conv2}}


def _pooled(x):
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean(axis=(2, 4))


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_shortcut_of_the_generator_is_a_convolution_of_the_larger_map(upsampling):
    """Whatever the order in which it is computed."""
    block = GeneratorBlock(5, norm=NormConfig("none"), upsampling=upsampling)
    variables = _without_residual(_variables(block, X, NOTHING))
    shortcut = variables["params"]["shortcut"]
    expected = np.asarray(upsample(jnp.asarray(X), upsampling)) @ shortcut["kernel"][0, 0] + shortcut["bias"]
    np.testing.assert_allclose(program(block.apply)(variables, X, NOTHING), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.1, 2.0])
def test_residual_scale_multiplies_the_residual_of_both_blocks(alpha):
    discriminator = functools.partial(DiscriminatorBlock, 5, hidden_features=4)
    for build, inputs in ((functools.partial(GeneratorBlock, 5), (X, NOTHING)), (discriminator, (X,))):
        variables = _variables(build(), *inputs)
        variables = jax.tree.map(np.abs, variables)
        shortcut, whole, scaled = program(
            lambda variables, build=build, inputs=inputs: [
                build().apply(_without_residual(variables), *inputs),
                build().apply(variables, *inputs),
                build(residual_scale=alpha).apply(variables, *inputs),
            ]
        )(variables)
        np.testing.assert_allclose(scaled, shortcut + alpha * (whole - shortcut), rtol=1e-4, atol=1e-4)
        assert np.max(np.abs(whole - shortcut)) > 0.1


@pytest.mark.parametrize("activated", [True, False])
def test_shortcut_of_the_discriminator_sees_its_input_before_or_after_the_relu(activated):
    block = DiscriminatorBlock(5, hidden_features=4, activated_shortcut=activated)
    variables = _without_residual(_variables(block, X))
    shortcut = variables["params"]["shortcut"]
    seen = np.maximum(X, 0) if activated else X
    expected = _pooled(seen) @ shortcut["kernel"][0, 0] + shortcut["bias"]
    np.testing.assert_allclose(program(block.apply)(variables, X), expected, rtol=1e-5, atol=1e-5)


def test_shortcut_is_the_identity_where_nothing_changes():
    block = DiscriminatorBlock(3, hidden_features=4, downsample=False)
    variables = _variables(block, X)
    assert set(variables["params"]) == {"conv1", "conv2"}
    np.testing.assert_array_equal(program(block.apply)(_without_residual(variables), X), X)


def test_larger_kernels_make_every_shortcut_a_convolution():
    block = DiscriminatorBlock(3, hidden_features=4, downsample=False, shortcut_kernel=3)
    assert _variables(block, X)["params"]["shortcut"]["kernel"].shape == (3, 3, 3, 3)


def test_only_blocks_inside_the_network_begin_with_a_relu():
    negative = -np.abs(X)
    for activates_input in (True, False):
        block = DiscriminatorBlock(5, hidden_features=4, activates_input=activates_input)
        variables = _variables(block, X)
        run = lambda x, block=block, variables=variables: (
            block.apply(variables, x) - block.apply(_without_residual(variables), x)
        )
        blind = np.allclose(program(run)(negative), program(run)(2 * negative), rtol=1e-5)
        assert blind == activates_input


@pytest.mark.parametrize("kind", ["batch", "layer", "instance"])
def test_norms_of_the_discriminator_stand_before_each_relu(kind):
    block = DiscriminatorBlock(5, hidden_features=4, norm=NormConfig(kind))
    variables = jax.eval_shape(block.init, KEY, X)
    sizes = {name: node["norm"]["scale"].shape for name, node in variables["params"].items() if "norm" in name}
    assert sizes == {"norm1": (3,), "norm2": (4,)}
    assert ("batch_stats" in variables) == (kind == "batch")


def test_training_moves_statistics_and_singular_vectors_and_evaluation_nothing():
    block = GeneratorBlock(5, spectral=SpectralNorm())
    variables = _variables(block, X, NOTHING)
    state = {key: variables[key] for key in ("batch_stats", "spectral")}
    call = lambda train: block.apply(variables, X, NOTHING, train=train, mutable=list(state))[1]
    trained, evaluated = program(lambda: (call(True), call(False)))()
    assert all(jax.tree.leaves(jax.tree.map(lambda new, old: bool(np.all(new != old)), trained, state)))
    chex.assert_trees_all_equal(evaluated, state)


def test_low_precision_is_the_type_of_the_result():
    for block, inputs in (
        (GeneratorBlock(5, dtype="bfloat16"), (X, NOTHING)),
        (DiscriminatorBlock(5, 4, dtype="bfloat16"), (X,)),
        (DiscriminatorBlock(5, 4, downsample=False, shortcut_kernel=3, dtype="bfloat16"), (X,)),
    ):
        y, variables = jax.eval_shape(block.init_with_output, KEY, *inputs)
        assert y.dtype == jnp.bfloat16
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    shape = (3, 3, 16, 16)
    fan = 9 * 16
    expected = 0.02 if name == "normal" else np.sqrt(1 / fan)
    found = np.std(kernel_init(name)(KEY, shape, jnp.float32))
    residual = np.std(kernel_init(name, residual=True)(KEY, shape, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=0.05)
    np.testing.assert_allclose(residual, expected * (np.sqrt(2) if name == "xavier" else 1), rtol=0.05)


def test_another_initializer_is_refused():
    with pytest.raises(ValueError, match="^initializer: found 'zeros', allowed: xavier, glorot, normal, orthogonal"):
        kernel_init("zeros")
