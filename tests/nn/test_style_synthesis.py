"""Blocks of the synthesis network; whole networks are in tests/networks and tests/parity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.nn.style_synthesis import SynthesisBlock, SynthesisNetwork

X = jax.random.normal(jax.random.key(0), (2, 4, 6, 3))
IMAGE = jax.random.normal(jax.random.key(1), (2, 4, 6, 2))
WS = jax.random.normal(jax.random.key(2), (2, 3, 5))


@pytest.mark.parametrize(
    ("architecture", "is_last", "num_ws", "submodules"),
    [
        ("skip", False, 3, {"conv0", "conv1", "torgb"}),
        ("resnet", False, 2, {"conv0", "conv1", "skip"}),
        ("resnet", True, 3, {"conv0", "conv1", "skip", "torgb"}),
        ("orig", False, 2, {"conv0", "conv1"}),
        ("orig", True, 3, {"conv0", "conv1", "torgb"}),
    ],
)
def test_architectures(architecture, is_last, num_ws, submodules):
    block = SynthesisBlock(4, image_channels=2, architecture=architecture, is_last=is_last)
    image = IMAGE if architecture == "skip" else None
    init = functools.partial(block.init_with_output, jax.random.key(0))
    (x, image), variables = jax.eval_shape(init, X, image, WS[:, :num_ws])
    assert set(variables["params"]) == submodules
    assert (block.num_convs, block.has_rgb) == (2, num_ws == 3)
    assert x.shape == (2, 8, 12, 4)
    assert image is None if num_ws == 2 else image.shape == (2, 8, 12, 2)


def test_base_block_starts_from_its_constant():
    block = SynthesisBlock(4, image_channels=2, base_grid=(5, 7))
    init = functools.partial(block.init_with_output, jax.random.key(0))
    (x, image), variables = jax.eval_shape(init, None, None, WS[:, :2])
    assert set(variables["params"]) == {"const", "conv1", "torgb"}
    assert variables["params"]["const"].shape == (5, 7, 4)
    assert (block.num_convs, x.shape, image.shape) == (1, (2, 5, 7, 4), (2, 5, 7, 2))


def test_image_is_summed_in_float32_whatever_the_compute_type():
    block = SynthesisBlock(4, image_channels=2, dtype="bfloat16")
    x, image = jax.eval_shape(functools.partial(block.init_with_output, jax.random.key(0)), X, IMAGE, WS)[0]
    assert (x.dtype, image.dtype) == (jnp.bfloat16, jnp.float32)


@pytest.mark.parametrize("ws", [WS[:, :2], WS[:, 0]])
def test_block_with_too_few_styles_is_refused(ws):
    with pytest.raises(ValueError, match=r"ws: found shape .*, allowed: \[N, 3, D\]"):
        SynthesisBlock(4, image_channels=2).init(jax.random.key(0), X, IMAGE, ws)


@pytest.mark.parametrize("ws", [WS, WS[:, 0]])
def test_network_with_too_few_styles_is_refused(ws):
    with pytest.raises(ValueError, match=r"ws: found shape .*, allowed: \[N, 4, D\]"):
        SynthesisNetwork((8, 12, 2)).init(jax.random.key(0), ws)


def test_each_layer_takes_its_own_style():
    """A block's RGB output shares the style of the next block's first layer; the order of the others is the layers'."""
    network = SynthesisNetwork((8, 8, 1), channel_base=16, channel_max=4)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 4, 5)))
    variables = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)

    @jax.jit
    def styles(ws):
        capture = lambda module, method: module.name == "affine"
        options = {"noise_mode": "none", "capture_intermediates": capture, "mutable": ["intermediates"]}
        return network.apply(variables, ws, **options)[1]["intermediates"]

    layers = [("b4", "conv1"), ("b4", "torgb"), ("b8", "conv0"), ("b8", "conv1"), ("b8", "torgb")]
    read = lambda tree: [np.asarray(tree[block][layer]["affine"]["__call__"][0]) for block, layer in layers]
    plain = read(styles(jnp.zeros((1, 4, 5))))
    changed = [read(styles(jnp.zeros((1, 4, 5)).at[:, index].set(1.0))) for index in range(4)]
    taken = [[i for i in range(4) if np.any(changed[i][layer] != plain[layer])] for layer in range(5)]
    assert taken == [[0], [1], [1], [2], [3]]
