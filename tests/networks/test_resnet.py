"""The ResNet GAN's own: published sizes, the grids of its blocks, and what its options change."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.networks import resnet

COUNTS = json.loads((pathlib.Path(__file__).parents[1] / "goldens/families/param_counts.json").read_text())
OF_32 = {"g_channels": 256, "g_channels_max": 256, "d_channels": 128, "d_channels_max": 128}
OF_32 |= {"d_levels": 2, "d_flat_blocks": 2}
OF_CGAN_128 = {"d_channels": 8, "d_channels_max": 128}
OF_48 = {"d_levels": 4}
OF_64 = {"d_levels": 5, "d_flat_blocks": 0}  # mimicry ends at 2x2; the defaults end at 4x4, with as many parameters.
PLAIN = {"d_spectral": False}


def _variables(gan):
    z = jax.ShapeDtypeStruct((2, gan.z_dim), jnp.float32)
    labels = jnp.zeros(2, int)
    images, g = jax.eval_shape(gan.generator.init_with_output, jax.random.key(0), z, labels)
    d = jax.eval_shape(gan.discriminator.init, jax.random.key(0), images, labels)
    return g, d


@pytest.mark.parametrize(
    ("pixels", "num_classes", "fields", "name"),
    [
        (32, 0, OF_32, "mimicry SNGAN32"),
        (48, 0, OF_48, "mimicry SNGAN48"),
        (64, 0, {}, "mimicry SNGAN64"),
        (64, 0, OF_64, "mimicry SNGAN64"),
        (128, 0, {}, "mimicry SNGAN128"),
        (32, 10, OF_32, "mimicry cGAN-PD32"),
        (128, 1000, OF_CGAN_128, "mimicry cGAN-PD128"),
        (32, 0, OF_32 | PLAIN, 'mimicry "DCGAN"32'),
        (64, 0, PLAIN, 'mimicry "DCGAN"64'),
        (32, 0, OF_32, "StudioGAN SNGAN-CIFAR10"),
    ],
)
def test_published_parameter_counts(pixels, num_classes, fields, name):
    """Names in the list go on: "G", "D", "(a ResNet) G", "G (10 classes)", and so on."""
    gan = resnet.build(image_shape=(pixels, pixels, 3), num_classes=num_classes, **fields)
    expected = {}
    for key, entry in COUNTS.items():
        if key.startswith(f"{name} "):
            network = next(word for word in key.removeprefix(name).split() if word in ("G", "D"))
            expected[network] = entry["total"]
    count = lambda variables: sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert dict(zip("GD", map(count, _variables(gan)))) == expected


def test_grids_of_the_blocks():
    gan = resnet.build(image_shape=(64, 96, 3), num_classes=0, d_flat_blocks=2)
    assert gan.generator.channels == (1024, 512, 256, 128, 64)
    assert (gan.discriminator.channels, gan.discriminator.downsamples) == ((64, 128, 256, 512, 1024, 1024), 4)
    g, _ = _variables(gan)
    assert g["params"]["base"]["kernel"].shape == (128, 4 * 6 * 1024)
    assert gan.d_layers[-5:] == ("block5/conv1", "block5/conv2", "block5/shortcut", "block6/conv1", "block6/conv2")


def test_defaults_depend_on_classes():
    plain = resnet.build(image_shape=(8, 8, 1), num_classes=0)
    conditional = resnet.build(image_shape=(8, 8, 1), num_classes=3)
    assert (plain.generator.norm.kind, plain.discriminator.num_classes) == ("batch", 0)
    assert (conditional.generator.norm.kind, conditional.discriminator.num_classes) == ("conditional", 3)
    g, d = _variables(conditional)
    assert set(g["params"]["norm"]["norm"]) == {"scale", "bias"}  # The last one has no classes.
    assert d["params"]["head"]["embed"]["embedding"].shape == (3, 128)
    assert resnet.build(image_shape=(8, 8, 1), num_classes=3, projection=False).discriminator.num_classes == 0


def test_pooling_and_width_of_the_discriminator():
    """The mean is the sum over a number of pixels; wide blocks widen first."""
    build = lambda **fields: resnet.build(image_shape=(8, 8, 1), num_classes=0, d_channels=2, **fields).discriminator
    total, mean = build(), build(pooling="mean")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 8, 1)).astype(np.float32)
    shapes = jax.eval_shape(total.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    features = program(lambda v: (total.apply(v, x).features, mean.apply(v, x).features))(variables)
    np.testing.assert_allclose(features[0], 16 * features[1], rtol=1e-5)
    hidden = [
        jax.eval_shape(build(d_wide=wide).init, jax.random.key(0), x)["params"]["block2"]["conv1"]["kernel"].shape[3]
        for wide in (False, True)
    ]
    assert hidden == [2, 4]


@pytest.mark.parametrize("num_classes", [0, 10])
def test_the_last_layer_of_the_discriminator_may_have_no_bias(num_classes):
    """As in the authors' code for 32x32."""
    heads = [
        _variables(resnet.build(image_shape=(32, 32, 3), num_classes=num_classes, **OF_32, **fields))[1]["params"][
            "head"
        ]
        for fields in ({}, {"d_head_bias": False})
    ]
    assert set(heads[0]["linear"]) == {"kernel", "bias"} and set(heads[1]["linear"]) == {"kernel"}
    assert heads[0].keys() == heads[1].keys()


def test_options_of_the_blocks_reach_them():
    fields = {"image_shape": (8, 8, 1), "num_classes": 0}
    default = resnet.build(**fields)
    for name, value in {"shortcut_kernel": 3, "residual_scale": 0.1, "initializer": "orthogonal"}.items():
        gan = resnet.build(**fields, **{name: value})
        assert getattr(gan.generator, name) == getattr(gan.discriminator, name) == value
        assert gan.generator != default.generator and gan.discriminator != default.discriminator
    assert resnet.build(**fields, upsampling="bilinear").generator.upsampling == "bilinear"
    discriminator = resnet.build(**fields, d_activated_input=True, d_activated_shortcut=True).discriminator
    assert discriminator.activated_input and discriminator.activated_shortcut
    assert resnet.build(**fields, shortcut_kernel=3).d_layers == tuple(
        f"block{block}/{layer}" for block in (1, 2) for layer in ("conv1", "conv2", "shortcut")
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"g_levels": 5}, "g_levels"),
        ({"d_levels": 5}, "d_levels"),
        ({"d_levels": 0}, "d_levels"),
        ({"d_flat_blocks": -1}, "d_flat_blocks"),
        ({"d_wide": 1}, "d_wide"),
        ({"d_head_bias": 0}, "d_head_bias"),
        ({"upsampling": "cubic"}, "upsampling"),
        ({"pooling": "flatten"}, "pooling"),
        ({"initializer": "zeros"}, "initializer"),
        ({"shortcut_kernel": 2}, "shortcut_kernel"),
        ({"residual_scale": 0}, "residual_scale"),
        ({"residual_scale": float("nan")}, "residual_scale"),
        ({"d_activated_shortcut": True, "d_norm": "batch"}, "d_norm"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, field):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        resnet.build(**{"image_shape": (16, 16, 1), "num_classes": 0, **fields})
