"""The normalization of a generator, chosen by name."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.nn.generator_norm import NORMS, ClassModulatedLatent, Condition, GeneratorNorm
from flaxgan.nn.layers import SpectralNorm
from flaxgan.nn.norms import BatchNorm, ConditionalBatchNorm, SampleNorm, SelfModulatedBatchNorm

X = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
CONDITION = Condition(z=np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32), labels=np.asarray([1, 0, 3]))

CONDITION_OF_TWO = Condition(labels=np.asarray([1, 0]))

# What each kind is: the layer, and its inputs beside x.
LAYERS = {
    "batch": (BatchNorm(eps=0.1, momentum=0.2, unbiased=False), ()),
    "conditional": (ConditionalBatchNorm(4, eps=0.1, momentum=0.2, unbiased=False), (CONDITION.labels,)),
    "self_modulated": (
        SelfModulatedBatchNorm(8, eps=0.1, momentum=0.2, unbiased=False, spectral=SpectralNorm()),
        (CONDITION.z,),
    ),
    "layer": (SampleNorm(eps=0.1), ()),
    "instance": (SampleNorm(per_channel=True, eps=0.1), ()),
}


def _generator_norm(kind):
    return GeneratorNorm(kind, num_classes=4, eps=0.1, momentum=0.2, hidden=8, spectral=SpectralNorm(), unbiased=False)


@pytest.mark.parametrize("kind", LAYERS)
def test_each_kind_is_its_layer(kind):
    norm, (layer, inputs) = _generator_norm(kind), LAYERS[kind]
    variables = program(norm.init)(jax.random.key(0), X, CONDITION)
    inner = {collection: tree["norm"] for collection, tree in variables.items()}
    mutable = [name for name in variables if name != "params"]
    mode = {} if isinstance(layer, SampleNorm) else {"train": True}
    found, expected = program(
        lambda: (
            norm.apply(variables, X, CONDITION, train=True, mutable=mutable),
            layer.apply(inner, X, *inputs, **mode, mutable=mutable),
        )
    )()
    np.testing.assert_array_equal(found[0], expected[0])
    chex.assert_trees_all_equal({name: tree["norm"] for name, tree in found[1].items()}, expected[1])


@pytest.mark.parametrize(
    "kind, stddev, expected",
    [
        ("batch", None, 0.0),
        ("batch", 0.02, 0.02),
        ("conditional", None, 0.02),
        ("conditional", 0.0, 0.0),
    ],
)
def test_gains_start_around_one_with_the_given_deviation(kind, stddev, expected):
    """PyTorch's DCGAN example has 0.02 without classes, Chainer's projection cGAN and SAGAN have 0 with classes."""
    x = jnp.zeros((2, 3, 3, 512))
    params = GeneratorNorm(kind, num_classes=4, gain_stddev=stddev).init(jax.random.key(0), x, CONDITION_OF_TWO)[
        "params"
    ]
    table = params["norm"]["scale"] if kind == "batch" else params["norm"]["embed"]["embedding"][:, :512]
    np.testing.assert_allclose(np.std(table), expected, rtol=0.15)
    np.testing.assert_allclose(np.mean(table), 1, atol=5e-3)
    offsets = params["norm"]["bias"] if kind == "batch" else params["norm"]["embed"]["embedding"][:, 512:]
    assert not np.any(offsets)


def test_every_kind_has_a_layer_and_none_is_the_identity():
    assert set(NORMS) == {*LAYERS, "none"}
    y, variables = GeneratorNorm("none").init_with_output(jax.random.key(0), X, Condition())
    assert y is X and not variables


def test_the_latent_modulated_by_its_class():
    layer = ClassModulatedLatent(num_classes=4)
    z, labels = CONDITION
    params = program(layer.init)(jax.random.key(0), z, labels)["params"]
    offset, gain = (np.asarray(params[name]["embedding"])[labels] for name in ("offset", "gain"))
    assert np.any(offset) and np.any(gain) and np.any(offset != gain)
    np.testing.assert_allclose(layer.apply({"params": params}, z, labels), z + offset + gain * z, rtol=1e-6, atol=1e-6)
    assert layer.apply({"params": params}, jnp.asarray(z, jnp.bfloat16), labels).dtype == jnp.float32


@pytest.mark.parametrize(
    ("norm", "condition", "message"),
    [
        (GeneratorNorm("group"), CONDITION, f"kind: found 'group', allowed: {', '.join(NORMS)}"),
        (GeneratorNorm("conditional"), CONDITION, "num_classes: found 0"),
        (GeneratorNorm("conditional", num_classes=4), CONDITION._replace(labels=None), "labels: found None"),
        (GeneratorNorm("self_modulated"), CONDITION._replace(z=None), "condition.z: found None"),
    ],
)
def test_wrong_arguments(norm, condition, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        norm.init(jax.random.key(0), X, condition)
