"""Fields of build() that are the discriminator's own, and checks that tie fields together."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.networks import stylegan2

TINY = {
    "image_shape": (8, 12, 3),
    "num_classes": 3,
    "z_dim": 6,
    "w_dim": 5,
    "mapping_layers": 1,
    "d_mapping_layers": 1,
    "channel_base": 32,
    "channel_max": 4,
    "conv_clamp": 256.0,
}

OWN_OF_BLOCKS = {
    "channel_base": 16,
    "channel_max": 2,
    "activation": "relu",
    "resample_filter": (1, 2, 1),
    "conv_clamp": 16.0,
    "low_precision_resolutions": 0,
}


@pytest.mark.parametrize(("name", "value"), OWN_OF_BLOCKS.items())
def test_blocks_of_the_discriminator_take_their_own_value_or_the_common_one(name, value):
    own = stylegan2.build(**TINY, **{f"d_{name}": value})
    common = stylegan2.build(**{**TINY, name: value})
    default = stylegan2.build(**TINY)
    assert own.discriminator == common.discriminator != default.discriminator
    assert own.generator == default.generator != common.generator


@pytest.mark.parametrize(("name", "value"), [("activation", "relu"), ("lr_multiplier", 1.0)])
def test_label_mapping_takes_its_own_value_or_the_common_one(name, value):
    own = stylegan2.build(**TINY, **{f"d_mapping_{name}": value})
    common = stylegan2.build(**TINY, **{f"mapping_{name}": value})
    default = stylegan2.build(**TINY)
    assert own.discriminator == common.discriminator != default.discriminator
    assert own.generator == default.generator != common.generator


def test_a_filter_may_be_a_list():
    filters = {"resample_filter": [1, 2, 1], "d_resample_filter": [1, 1]}
    assert stylegan2.build(**TINY, **filters) == stylegan2.build(**TINY, **{n: tuple(f) for n, f in filters.items()})


def test_infinity_is_no_clamp():
    gan = stylegan2.build(**TINY, d_conv_clamp=math.inf)
    assert (gan.generator.synthesis.conv_clamp, gan.discriminator.conv_clamp) == (256.0, None)


def test_kernel_size_is_that_of_the_generators_layers():
    gan = stylegan2.build(**TINY, g_kernel_size=5)
    params = jax.eval_shape(gan.generator.init, jax.random.key(0), jnp.zeros((1, 6)), jnp.zeros(1, int))["params"]
    block = params["synthesis"]["b8"]
    shapes = [block[name]["weight"].shape for name in ("conv0", "conv1", "torgb")]
    assert shapes == [(5, 5, 4, 4), (5, 5, 4, 4), (1, 1, 4, 3)]
    assert gan.discriminator == stylegan2.build(**TINY).discriminator


def test_activation_of_the_epilogue():
    assert stylegan2.build(**TINY, d_epilogue_activation="relu").discriminator.epilogue_activation == "relu"


@pytest.mark.parametrize("d_embed_features", [None, 7])
def test_without_layers_the_label_projection_is_the_normalized_embedding(d_embed_features):
    fields = {**TINY, "d_mapping_layers": 0, "cmap_dim": 7, "d_embed_features": d_embed_features}
    mapping = stylegan2.build(**fields).discriminator.mapping
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((3, 7)), rng.standard_normal(7)
    shapes = jax.eval_shape(mapping.init, jax.random.key(0), None, jnp.zeros(1, int))
    assert jax.tree.map(jnp.shape, shapes) == {"params": {"embed": {"weight": (3, 7), "bias": (7,)}}}
    cmap = mapping.apply({"params": {"embed": {"weight": weight, "bias": bias}}}, None, jnp.array([2, 0]))
    embedded = weight[[2, 0]] / np.sqrt(3) + bias
    expected = embedded / np.sqrt(np.mean(embedded**2, axis=1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(cmap, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"d_embed_features": 7}, "d_embed_features"),
        ({"d_embed_features": 7, "cmap_dim": 8}, "d_embed_features"),
        ({"d_embed_features": 4, "d_channel_max": 3}, "d_embed_features"),
        ({"d_embed_features": 0}, "d_embed_features"),
        ({"d_layer_features": 0}, "d_layer_features"),
        ({"d_channel_base": 7}, "d_channel_base"),
        ({"d_channel_max": 0}, "d_channel_max"),
        ({"d_channel_max": 3, "mbstd_num_channels": 2}, "mbstd_num_channels"),
        ({"activation": "gelu"}, "activation"),
        ({"d_activation": "gelu"}, "d_activation"),
        ({"d_epilogue_activation": "gelu"}, "d_epilogue_activation"),
        ({"mapping_activation": "gelu"}, "mapping_activation"),
        ({"d_mapping_activation": "gelu"}, "d_mapping_activation"),
        ({"d_mapping_lr_multiplier": 0}, "d_mapping_lr_multiplier"),
        ({"d_resample_filter": (1, -1)}, "d_resample_filter"),
        ({"d_conv_clamp": -1}, "d_conv_clamp"),
        ({"d_low_precision_resolutions": -1}, "d_low_precision_resolutions"),
        ({"g_kernel_size": 2}, "g_kernel_size"),
        ({"mbstd_by_class": True, "num_classes": 0}, "mbstd_by_class"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, field):
    with pytest.raises(ValueError, match=f"^{field}: found .*, .*allowed: "):
        stylegan2.build(**{**TINY, "d_mapping_layers": 0, **fields})


def test_float16_needs_a_clamp_only_where_it_is_used():
    half = {**TINY, "dtype": "float16"}
    with pytest.raises(ValueError, match="^d_conv_clamp: found None, allowed: .* float16"):
        stylegan2.build(**half, d_conv_clamp=math.inf)
    assert (
        stylegan2.build(**half, d_conv_clamp=math.inf, d_low_precision_resolutions=0).discriminator.conv_clamp is None
    )
