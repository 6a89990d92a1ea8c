"""SELF-MOD's own: which networks it builds on either base, and that its images depend on z through the norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.networks import dcgan, resnet, selfmod

COMMON = {
    "spectral_from_input": True,
    "norm_eps": 1e-3,
    "norm_momentum": 0.001,
    "norm_unbiased": False,
    "d_norm": "none",
    "d_spectral": True,
}


@pytest.mark.parametrize("num_classes", [0, 4])
def test_the_bases_are_those_families_with_another_norm(num_classes):
    """In the forms of compare_gan, the authors' code: SNDCGAN, and the ResNet for CIFAR-10."""
    fields = {"image_shape": (32, 32, 3), "num_classes": num_classes}
    of_dcgan = dcgan.build(
        **fields,
        **COMMON,
        z_dim=128,
        architecture="sndcgan",
        use_bias=True,
        g_norm="self_modulated",
        g_channels_max=512,
        d_channels_max=512,
        d_negative_slope=0.1,
    )
    assert selfmod.build(**fields) == of_dcgan
    widths = {"g_channels": 256, "g_channels_max": 256, "d_channels": 128, "d_channels_max": 128}
    widths |= {"d_levels": 2, "d_flat_blocks": 2}
    of_resnet = resnet.build(
        **fields,
        **COMMON,
        **widths,
        g_norm="self_modulated",
        upsampling="zeros",
        shortcut_kernel=3,
        pooling="mean",
        d_wide=True,
        d_activated_input=True,
        initializer="normal",
    )
    assert selfmod.build(**fields, **widths, base="resnet") == of_resnet


def test_every_norm_of_the_generator_is_modulated():
    for base in selfmod.BASES:
        gan = selfmod.build(image_shape=(16, 16, 1), num_classes=3, base=base, g_channels=4, z_dim=6, hidden=7)
        z = jnp.zeros((2, 6))
        g = jax.eval_shape(gan.generator.init, jax.random.key(0), z, jnp.zeros(2, int))
        norms = [
            path[:-1] for path, _ in jax.tree_util.tree_leaves_with_path(g["batch_stats"]) if path[-1].key == "var"
        ]
        assert len(norms) == {"dcgan": 3, "resnet": 5}[base]
        for path in norms:
            node = g["params"]
            for entry in path:
                node = node[entry.key]
            assert set(node) == {"hidden", "gamma", "beta"} and node["hidden"]["kernel"].shape == (6, 7)


@pytest.mark.parametrize("base", selfmod.BASES)
def test_kernels_of_the_modulation_start_like_all_others(base):
    """From N(0, 0.02), as every kernel in compare_gan."""
    gan = selfmod.build(image_shape=(32, 32, 3), num_classes=0, base=base, g_channels=64, g_channels_max=64)
    params = program(gan.generator.init)(jax.random.key(0), jnp.zeros((2, 128)))["params"]
    norm = (params["norm1"] if base == "dcgan" else params["block1"]["norm1"])["norm"]
    for layer in ("hidden", "gamma", "beta"):
        np.testing.assert_allclose(np.std(norm[layer]["kernel"]), 0.02, rtol=0.1)


def test_the_latent_reaches_the_image_through_the_norms_alone():
    """With a first layer that gives everybody the same map."""
    gan = selfmod.build(image_shape=(8, 8, 1), num_classes=0, z_dim=4, g_channels=3, norm_momentum=0.1)
    z = jax.random.normal(jax.random.key(0), (2, 4))
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(gan.generator.init, jax.random.key(0), z)
    draw = lambda tree: jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) / 2, tree)
    variables = {"params": draw(shapes["params"]), "batch_stats": jax.tree.map(np.abs, draw(shapes["batch_stats"]))}
    variables["params"]["base"]["kernel"][:] = 0
    images = program(gan.generator.apply)(variables, z)
    assert np.max(np.abs(images[0] - images[1])) > 1e-3
    same = program(gan.generator.apply)(variables, z[:1].repeat(2, axis=0))
    np.testing.assert_array_equal(same[0], same[1])


def test_fields_of_the_resnet():
    fields = {"image_shape": (32, 32, 3), "num_classes": 0, "base": "resnet"}
    gan = selfmod.build(**fields, levels=2, upsampling="nearest", shortcut_kernel=1, pooling="sum", hidden=None)
    assert (len(gan.generator.channels), gan.discriminator.downsamples) == (3, 2)
    assert (gan.generator.upsampling, gan.generator.shortcut_kernel, gan.discriminator.pooling) == ("nearest", 1, "sum")
    assert gan.generator.norm.hidden is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base": "biggan"}, "base"),
        ({"d_levels": 1}, "d_levels"),
        ({"d_flat_blocks": 2}, "d_flat_blocks"),
        ({"upsampling": "nearest"}, "upsampling"),
        ({"shortcut_kernel": 1}, "shortcut_kernel"),
        ({"levels": 9}, "levels"),
        ({"base": "resnet", "pooling": "flatten"}, "pooling"),
        ({"base": "resnet", "upsampling": "cubic"}, "upsampling"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, field):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        selfmod.build(**{"image_shape": (16, 16, 1), "num_classes": 0, **fields})
