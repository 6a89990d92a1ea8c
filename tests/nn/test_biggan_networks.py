"""The bodies of SAGAN and BigGAN: how blocks, attention and the ends come together."""

import jax
import jax.numpy as jnp
import numpy as np
from derivatives import program
from flax.traverse_util import flatten_dict, unflatten_dict

from flaxgan.nn.biggan_networks import Discriminator, GeneratorBody
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.norm_config import NormConfig

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 8, 12, 1)).astype(np.float32)
Z = RNG.normal(size=(2, 3)).astype(np.float32)


def _filled(network, *inputs):
    shapes = jax.eval_shape(network.init, KEY, *inputs)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: (0.3 * rng.normal(size=leaf.shape)).astype(np.float32), shapes)


def _without(variables, name):
    flat = flatten_dict(variables)
    return unflatten_dict({path: leaf for path, leaf in flat.items() if name not in path})


def _with_gamma(variables, name, gamma):
    flat = flatten_dict(variables)
    return unflatten_dict({path: np.float32(gamma) if path[-2:] == (name, "gamma") else x for path, x in flat.items()})


def test_logits_are_read_from_the_sum_over_all_pixels():
    """The features are that sum; attention counts as far as its gamma goes."""
    network = Discriminator((8, 12, 1), (4, 8), downsamples=1, attention=(0,))
    variables = _filled(network, X)

    def everything(variables):
        output = network.apply(variables, X)
        plain = network.clone(attention=()).apply(_without(variables, "attention1"), X)
        off, on = (network.apply(_with_gamma(variables, "attention1", gamma), X) for gamma in (0, 3))
        return output, plain.logits, off.logits, on.logits

    output, plain, off, on = program(everything)(variables)
    head = variables["params"]["head"]["linear"]
    np.testing.assert_allclose(output.logits, (output.features @ head["kernel"] + head["bias"])[:, 0], rtol=1e-4)
    assert output.features.shape == (2, 8) and np.all(output.features >= 0)
    np.testing.assert_allclose(off, plain, rtol=1e-5, atol=1e-6)
    assert np.all(np.abs(on - off) > 1e-4)


def test_each_block_of_the_generator_sees_its_own_condition():
    norm = NormConfig("self_modulated")
    network = GeneratorBody((16, 24, 2), (4, 4, 4), norm, attention=(0,))
    conditions = [Condition(Z), Condition(Z)]
    variables = _filled(network, Z, conditions)
    variables["batch_stats"] = jax.tree.map(lambda leaf: np.abs(leaf) + 1, variables["batch_stats"])
    other = Condition(Z + 1)

    def everything(variables):
        images = network.apply(variables, Z, conditions)
        changed = [network.apply(variables, Z, [*conditions[:i], other, *conditions[i + 1 :]]) for i in range(2)]
        off, on = (network.apply(_with_gamma(variables, "attention1", gamma), Z, conditions) for gamma in (0, 3))
        return images, [*changed, network.apply(variables, Z + 1, conditions)], on - off

    images, changed, by_attention = program(everything)(variables)
    assert images.shape == (2, 16, 24, 2) and images.dtype == jnp.float32 and np.max(np.abs(images)) < 1
    assert all(np.max(np.abs(one - images)) > 1e-3 for one in changed)
    assert np.max(np.abs(by_attention)) > 1e-3
