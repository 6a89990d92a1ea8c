"""DCGAN's own: published sizes, kernels of 5, the form with 3x3 convolutions between the strided ones."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.networks import dcgan

COUNTS = json.loads((pathlib.Path(__file__).parents[1] / "goldens/families/param_counts.json").read_text())
STUDIOGAN = {
    "architecture": "sndcgan",
    "use_bias": True,
    "g_base_norm": False,
    "d_widens_with_stride": False,
    "d_first_norm": True,
    "pooling": "sum",
}


def _params(gan):
    z = jax.ShapeDtypeStruct((1, gan.z_dim), jnp.float32)
    images, g = jax.eval_shape(gan.generator.init_with_output, jax.random.key(0), z)
    d = jax.eval_shape(gan.discriminator.init, jax.random.key(0), images)
    return g["params"], d["params"]


def _count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("shape", "fields", "g_name", "d_name"),
    [
        ((64, 64, 3), {}, "pytorch/examples DCGAN-64 nz100 ngf64 nc3 G", "pytorch/examples DCGAN-64 ndf64 nc3 D"),
        ((64, 64, 1), {}, "pytorch/examples DCGAN-64 nz100 ngf64 nc1 G", "pytorch/examples DCGAN-64 ndf64 nc1 D"),
        (
            (32, 32, 3),
            STUDIOGAN,
            "StudioGAN DCGAN-CIFAR10 (deep_conv, W/O, sn off) G",
            "StudioGAN DCGAN-CIFAR10 (deep_conv, W/O, sn off) D",
        ),
    ],
    ids=["rgb", "grey", "studiogan"],
)
def test_published_parameter_counts(shape, fields, g_name, d_name):
    g, d = _params(dcgan.build(image_shape=shape, num_classes=0, **fields))
    assert (_count(g), _count(d)) == (COUNTS[g_name]["total"], COUNTS[d_name]["total"])


def test_channels_and_strides_of_sndcgan():
    """Reference: Miyato et al. 2018, table 3."""
    gan = dcgan.build(image_shape=(32, 32, 3), num_classes=0, architecture="sndcgan", d_norm="none")
    assert gan.generator.channels == (512, 256, 128, 64)
    assert gan.discriminator.channels == (64, 128, 128, 256, 256, 512, 512)
    g, d = _params(gan)
    assert [d[f"conv{i}"]["kernel"].shape[0] for i in range(1, 8)] == [3, 4, 3, 4, 3, 4, 3]
    assert g["output"]["kernel"].shape == (3, 3, 64, 3)
    assert d["head"]["linear"]["kernel"].shape == (4 * 4 * 512, 1)


def test_levels_and_channels_are_limited():
    gan = dcgan.build(image_shape=(48, 64, 3), num_classes=0, levels=2, g_channels_max=96, d_channels_max=70)
    assert (gan.generator.channels, gan.discriminator.channels) == ((96, 64), (64, 70))
    g, d = _params(gan)
    assert g["base"]["kernel"].shape == (100, 12 * 16 * 96)
    assert d["head"]["linear"]["kernel"].shape == (12 * 16 * 70, 1)


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_transposed_convolutions_are_the_gradients_of_convolutions(kernel_size):
    """Those that halve the image as TensorFlow's do, with SAME padding."""
    fields = {"image_shape": (8, 12, 3), "num_classes": 0, "z_dim": 4, "g_norm": "none"}
    generator = dcgan.build(**fields, kernel_size=kernel_size, g_channels=5).generator
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2, 4)).astype(np.float32)
    shapes = jax.eval_shape(generator.init, jax.random.key(0), z)
    variables = jax.tree.map(lambda leaf: 0.1 * rng.normal(size=leaf.shape).astype(np.float32), shapes)
    params = variables["params"]
    assert params["output"]["kernel"].shape == (kernel_size, kernel_size, 5, 3)

    def both(variables):
        x = jax.nn.relu((z @ params["base"]["kernel"]).reshape(2, 4, 6, 5))
        weight = params["output"]["kernel"].transpose(0, 1, 3, 2)  # Of the convolution from the image to the map.
        layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "padding": "SAME", "window_strides": (2, 2)}
        halve = lambda image: jax.lax.conv_general_dilated(image, weight, **layout)
        (image,) = jax.linear_transpose(halve, jnp.zeros((2, 8, 12, 3)))(x)
        return generator.apply(variables, z), jnp.tanh(image)

    np.testing.assert_allclose(*program(both)(variables), atol=1e-5)


def test_convolutions_of_either_size_halve_the_image():
    for kernel_size in (4, 5):
        gan = dcgan.build(image_shape=(16, 24, 3), num_classes=0, kernel_size=kernel_size, d_channels=5)
        d = _params(gan)[1]
        assert d["conv1"]["kernel"].shape == (kernel_size, kernel_size, 3, 5)
        assert d["head"]["linear"]["kernel"].shape == (4 * 6 * 10, 1)


@pytest.mark.parametrize(
    ("fields", "has_bias"), [({}, False), ({"use_bias": True}, True)], ids=["without biases", "with biases"]
)
def test_biases(fields, has_bias):
    for params in _params(dcgan.build(image_shape=(16, 16, 1), num_classes=0, **fields)):
        layers = {name: node for name, node in params.items() if "norm" not in name}
        layers |= layers.pop("head", {})
        assert {"bias" in layer for layer in layers.values()} == {has_bias}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"architecture": "resnet"}, "architecture"),
        ({"kernel_size": 3}, "kernel_size"),
        ({"levels": 0}, "levels"),
        ({"levels": 5}, "levels"),
        ({"use_bias": None}, "use_bias"),
        ({"g_base_norm": 1}, "g_base_norm"),
        ({"d_first_norm": 1}, "d_first_norm"),
        ({"d_widens_with_stride": 1}, "d_widens_with_stride"),
        ({"d_negative_slope": -1}, "d_negative_slope"),
        ({"norm_unbiased": 1}, "norm_unbiased"),
        ({"spectral_from_input": 1}, "spectral_from_input"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, field):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        dcgan.build(**{"image_shape": (16, 16, 1), "num_classes": 0, **fields})
