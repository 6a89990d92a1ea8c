"""Network pickles as arguments and variables of our StyleGAN2."""

import math

import jax
import network_pickles
import numpy as np
import pickle_writer as writer
import pytest
from network_pickles import D_KWARGS, G_KWARGS, NETWORK, joined, states

from flaxgan.augment.spec import AugmentSpec
from flaxgan.convert import stylegan2_arguments
from flaxgan.convert.pickle_machine import PickleRefused
from flaxgan.convert.state_dict import from_flax
from flaxgan.convert.stylegan2 import check_shapes, read_network_pickle
from flaxgan.networks import stylegan2
from flaxgan.ops.upfirdn import setup_filter

CONDITIONAL = {"image_shape": (16, 16, 1), "num_classes": 3, "d_mapping_layers": 1, "cmap_dim": 7}
CONDITIONAL |= {"g_architecture": "resnet", "d_architecture": "skip", "embed_features": 4, "layer_features": 8}
CONDITIONAL_SIZES = {"c_dim": 3, "img_resolution": 16, "img_channels": 1}


@pytest.fixture
def convert(tmp_path):
    """Writes a pickle as `network_pickles.write` does, and imports it."""
    return lambda *args, **kwargs: read_network_pickle(network_pickles.write(tmp_path / "network.pkl", *args, **kwargs))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_defaults_are_those_of_the_reference(convert):
    imported = convert()
    assert imported.network == {
        **NETWORK,
        "embed_features": None,
        "layer_features": None,
        "mapping_activation": "lrelu",
        "mapping_lr_multiplier": 0.01,
        "w_avg_beta": 0.995,
        "g_kernel_size": 3,
        "g_architecture": "skip",
        "d_architecture": "resnet",
        "resample_filter": (1, 3, 3, 1),
        "conv_clamp": None,
        "use_noise": True,
        "activation": "lrelu",
        "mbstd_num_channels": 1,
    }
    expected = states(NETWORK)
    assert_same(from_flax(imported.g.params, imported.g.buffers), expected["G"])
    assert_same(from_flax(imported.g_ema.params, imported.g_ema.buffers), expected["G"])
    assert_same(from_flax(imported.d.params), expected["D"])
    assert imported.d.buffers == {}
    assert (imported.d_frozen_layers, imported.augment, imported.augment_p) == (0, None, 0.0)


def test_every_option_arrives(convert):
    network = {
        **NETWORK,
        **CONDITIONAL,
        "mapping_lr_multiplier": 0.1,
        "w_avg_beta": 0.9,
        "resample_filter": (1, 4, 2, 1),
        "conv_clamp": 256,
        "use_noise": False,
        "activation": "swish",
        "mapping_activation": "relu",
        "g_kernel_size": 5,
        "mbstd_group_size": None,
        "mbstd_num_channels": 2,
        "d_embed_features": 3,
        "d_layer_features": 2,
        "dtype": "float16",
        "low_precision_resolutions": 2,
    }
    mapping = {"embed_features": 4, "layer_features": 8, "lr_multiplier": 0.1, "w_avg_beta": 0.9, "activation": "relu"}
    synthesis = {"architecture": "resnet", "use_noise": False, "activation": "swish", "fp16_channels_last": True}
    synthesis["kernel_size"] = 5
    common = {"num_fp16_res": 2, "conv_clamp": 256}
    taps = {"resample_filter": [1, 4, 2, 1]}
    g_kwargs = joined(G_KWARGS, **CONDITIONAL_SIZES, mapping_kwargs=mapping, synthesis_kwargs=synthesis | common | taps)
    d_kwargs = joined(
        D_KWARGS,
        **CONDITIONAL_SIZES,
        **common,
        architecture="skip",
        cmap_dim=7,
        mapping_kwargs=joined(mapping, num_layers=1, embed_features=3, layer_features=2, w_avg_beta=...),
        block_kwargs=taps | {"activation": "swish", "freeze_layers": 2, "fp16_channels_last": False},
        epilogue_kwargs={"activation": "swish", "mbstd_group_size": None, "mbstd_num_channels": 2},
    )
    frozen = ("b16.fromrgb.weight", "b16.fromrgb.bias", "b16.conv0.weight", "b16.conv0.bias")
    pipe = writer.module_tree("AugmentPipe", {"xflip": 1, "imgfilter_bands": [1, 1, 0, 0.5]}, {"p": np.float32(0.25)})
    imported = convert(
        g_kwargs, d_kwargs, network=network, frozen=frozen, augment_pipe=pipe, training_set_kwargs={"path": "x.zip"}
    )
    assert imported.network == network
    assert imported.d_frozen_layers == 2
    assert stylegan2.build(**imported.network).d_layers[:2] == ("b16/fromrgb", "b16/conv0")
    assert AugmentSpec(**imported.augment) == AugmentSpec(xflip=1, imgfilter_bands=(1, 1, 0, 0.5))
    assert imported.augment_p == 0.25
    assert imported.training_set_kwargs == {"path": "x.zip"}
    assert_same(from_flax(imported.d.params), states(network)["D"])


def test_positional_arguments(tmp_path):
    names = stylegan2_arguments.GENERATOR_ARGUMENTS
    g_args = tuple(G_KWARGS[name] for name in names)
    found = states(NETWORK)
    g_tree = writer.module_tree("Generator", {}, found["G"])
    g_tree.arguments[0]["state"]["_init_args"] = g_args
    d_tree = writer.module_tree("Discriminator", D_KWARGS, found["D"])
    path = tmp_path / "network.pkl"
    path.write_bytes(writer.dumps({"G": g_tree, "D": d_tree, "G_ema": g_tree}))
    assert read_network_pickle(path).network["w_dim"] == 6
    g_tree.arguments[0]["state"]["_init_kwargs"] = writer.attribute_dict({"w_dim": 6})
    path.write_bytes(writer.dumps({"G": g_tree, "D": d_tree, "G_ema": g_tree}))
    with pytest.raises(PickleRefused, match="G.w_dim: the constructor argument is given twice"):
        read_network_pickle(path)
    g_tree.arguments[0]["state"]["_init_args"] = (*g_args, 1)
    path.write_bytes(writer.dumps({"G": g_tree, "D": d_tree, "G_ema": g_tree}))
    with pytest.raises(PickleRefused, match="G: found 8 constructor arguments"):
        read_network_pickle(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthesis_kwargs": {"magnitude_ema_beta": 0.9}}, "G.synthesis_kwargs.magnitude_ema_beta: an unknown"),
        ({"mapping_kwargs": {"num_layers": 3}}, "num_layers: found 3, but there are 2 layers"),
        ({"mapping_kwargs": {"num_layers": 10**9}}, "num_layers: found '1000000000'"),
        ({"mapping_kwargs": {"w_avg_beta": None}}, "w_avg_beta: found 'None'"),
        ({"mapping_kwargs": {"depth": 3}}, "G.mapping_kwargs.depth: an unknown constructor argument"),
        ({"encoder_kwargs": {}}, "G.encoder_kwargs: an unknown constructor argument"),
        ({"z_dim": ...}, "G.z_dim: the constructor argument is missing"),
        ({"z_dim": 5.0}, "G.z_dim: found '5.0', allowed: int"),
        ({"z_dim": True}, "G.z_dim: found 'True', allowed: int"),
        ({"img_resolution": 32}, "G.img_resolution: found 32, but there is no block b32"),
        ({"synthesis_kwargs": {"channel_max": "4"}}, "channel_max: found '4', allowed: int"),
        ({"synthesis_kwargs": {"resample_filter": [1, "2"]}}, "resample_filter: found"),
        ({"synthesis_kwargs": {"resample_filter": []}}, "resample_filter: found"),
        ({"synthesis_kwargs": {"kernel_size": 3.0}}, "kernel_size: found '3.0', allowed: int"),
        ({"img_channels": 1}, r"image_shape: found \(8, 8, 1\) in G and \(8, 8, 3\) in D"),
        ({"c_dim": 2}, "num_classes: found 2 in G and 0 in D"),
    ],
)
def test_generator_options_without_counterpart_are_refused_by_name(convert, changes, message):
    with pytest.raises(PickleRefused, match=message):
        convert(joined(G_KWARGS, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epilogue_kwargs": {"groups": 1}}, "D.epilogue_kwargs.groups: an unknown constructor argument"),
        ({"block_kwargs": {"resample_filter": [None]}}, "D.block_kwargs.resample_filter: found"),
        ({"block_kwargs": {"freeze_layers": "all"}}, "freeze_layers: found 'all', allowed: int"),
        ({"block_kwargs": {"kernel": 1}}, "D.block_kwargs.kernel: an unknown constructor argument"),
        ({"epilogue_kwargs": {"mbstd_num_channels": None}}, "mbstd_num_channels: found 'None', allowed: int"),
        ({"projection": 1}, "D.projection: an unknown constructor argument"),
        ({"img_resolution": ...}, "D.img_resolution: the constructor argument is missing"),
    ],
)
def test_discriminator_options_without_counterpart_are_refused_by_name(convert, changes, message):
    with pytest.raises(PickleRefused, match=message):
        convert(d_kwargs=joined(D_KWARGS, **changes))


OWN = {
    "channel_base": ({"channel_base": 24}, {"d_channel_base": 24}),
    "channel_max": ({"channel_max": 3}, {"d_channel_max": 3}),
    "activation": (
        {"block_kwargs": {"activation": "relu"}},
        {"d_activation": "relu", "d_epilogue_activation": "lrelu"},
    ),
    "epilogue": ({"epilogue_kwargs": {"activation": "relu"}}, {"d_epilogue_activation": "relu"}),
    "filter": ({"block_kwargs": {"resample_filter": [1, 2, 1]}}, {"d_resample_filter": (1, 2, 1)}),
    "clamp": ({"conv_clamp": 256}, {"d_conv_clamp": 256}),
}


@pytest.mark.parametrize(("changes", "own"), OWN.values(), ids=list(OWN))
def test_what_the_discriminator_has_of_its_own_arrives(convert, changes, own):
    filters = {"b8.conv1.resample_filter": setup_filter(own.get("d_resample_filter", (1, 3, 3, 1)))}
    d_state = states(NETWORK | own)["D"] | filters
    imported = convert(d_kwargs=joined(D_KWARGS, **changes), network=NETWORK | own, d_state=d_state)
    assert {name: value for name, value in imported.network.items() if name in own} == own
    assert set(imported.network) == set(convert().network) | set(own)
    d = jax.eval_shape(
        stylegan2.build(**imported.network).discriminator.init, jax.random.key(0), np.zeros((2, 8, 8, 3))
    )
    check_shapes({"params": imported.d.params}, d, "D")


def test_precision_and_clamp_of_each_network(convert):
    half, clamp = {"num_fp16_res": 1}, {"conv_clamp": 256}
    g_only = convert(joined(G_KWARGS, synthesis_kwargs=half | clamp)).network
    assert g_only["dtype"] == "float16"
    assert (g_only["low_precision_resolutions"], g_only["d_low_precision_resolutions"]) == (1, 0)
    assert (g_only["conv_clamp"], g_only["d_conv_clamp"]) == (256, math.inf)
    d_only = convert(d_kwargs=joined(D_KWARGS, **half)).network
    assert d_only["dtype"] == "float16" and d_only["conv_clamp"] is None
    assert (d_only["low_precision_resolutions"], d_only["d_low_precision_resolutions"]) == (0, 1)


@pytest.fixture
def convert_conditional(convert):
    """`convert` with labels; the arguments change the label mapping of D, and our arguments for the same."""

    def write_and_read(changes, own):
        network = {**NETWORK, **CONDITIONAL, **own}
        g_kwargs = joined(
            G_KWARGS,
            **CONDITIONAL_SIZES,
            mapping_kwargs={"embed_features": 4, "layer_features": 8},
            synthesis_kwargs={"architecture": "resnet"},
        )
        mapping = {"num_layers": 1} | changes
        d_kwargs = joined(D_KWARGS, **CONDITIONAL_SIZES, architecture="skip", cmap_dim=7, mapping_kwargs=mapping)
        return convert(g_kwargs, d_kwargs, network=network).network

    return write_and_read


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({}, {}),
        ({"embed_features": 6, "layer_features": 5}, {"d_embed_features": 6, "d_layer_features": 5}),
        ({"activation": "relu"}, {"d_mapping_activation": "relu"}),
        ({"lr_multiplier": 1.0}, {"d_mapping_lr_multiplier": 1.0}),
        # As legacy.py writes it for networks of the TensorFlow implementation; there is nothing to learn at that rate.
        ({"num_layers": 0, "lr_multiplier": 0.1, "embed_features": 7}, {"d_mapping_layers": 0, "d_embed_features": 7}),
    ],
)
def test_label_mapping_arrives(convert_conditional, changes, own):
    found = convert_conditional(changes, own)
    expected = {**CONDITIONAL, **own}
    assert {name: value for name, value in found.items() if name in expected} == expected
    assert {name for name in found if name.startswith("d_")} == {"d_architecture", "d_mapping_layers", *own}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w_avg_beta": 1.0}, "D.mapping_kwargs.w_avg_beta: an unknown"),
        ({"num_layers": 2}, "D.mapping_kwargs.num_layers: found 2, but there are 1 layers"),
        ({"lr_multiplier": None}, "D.mapping_kwargs.lr_multiplier: found 'None'"),
    ],
)
def test_options_of_the_label_mapping_are_refused_by_name(convert_conditional, changes, message):
    with pytest.raises(PickleRefused, match=message):
        convert_conditional(changes, {})


def test_a_generator_that_differs_from_its_average_is_refused(convert):
    other = writer.module_tree("Generator", joined(G_KWARGS, w_dim=7), states(NETWORK)["G"])
    with pytest.raises(PickleRefused, match="G_ema: its constructor arguments differ from those of G"):
        convert(G_ema=other)


def test_classes_in_the_wrong_place_are_refused(convert):
    generator = writer.module_tree("Generator", G_KWARGS, states(NETWORK)["G"])
    with pytest.raises(PickleRefused, match="D: found class Generator, allowed: Discriminator"):
        convert(D=generator)
    with pytest.raises(PickleRefused, match="augment_pipe: found class Generator, allowed: AugmentPipe"):
        convert(augment_pipe=generator)
    with pytest.raises(PickleRefused, match="G.synthesis: the module is missing"):
        convert(g_state={"mapping.fc0.weight": np.zeros((2, 2), np.float32)})


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("b8.conv0.weight", np.zeros((4, 4, 3, 3)), "D.b8.conv0.weight: found float64, allowed: float32"),
        ("b8.conv0.running_mean", np.zeros(4, np.float32), "D.b8.conv0.running_mean: found unknown tensor of"),
        ("b4.fc.weight", np.zeros((3, 7), np.float32), r"D.b4.fc.weight: found shape \[3, 7\], allowed: \[C, C \* H"),
        (
            "b8.conv1.resample_filter",
            np.ones((4, 4), np.float32) / 16,
            "D.b8.conv1.resample_filter: not the normalized",
        ),
        ("b8.resample_filter", np.ones(4, np.float32) / 4, "D.b8.resample_filter: not the normalized filter"),
    ],
)
def test_wrong_tensors_are_refused_by_name(convert, name, array, message):
    with pytest.raises(PickleRefused, match=message):
        convert(d_state=states(NETWORK)["D"] | {name: array})


def test_only_filters_that_are_used_count(convert):
    used, unused = setup_filter([1, 3, 3, 1]), setup_filter([1, 1])
    filters = {"b8.resample_filter": used, "b8.conv1.resample_filter": used, "b8.conv0.resample_filter": unused}
    convert(d_state=states(NETWORK)["D"] | filters)


@pytest.mark.parametrize(
    ("kwargs", "p", "message"),
    [
        ({"xflip": "1"}, 0.5, "augment_pipe.xflip: found '1', allowed: int, float"),
        ({"blur": 1}, 0.5, "augment_pipe.blur: an unknown constructor argument"),
        ({"imgfilter_bands": [1, "x"]}, 0.5, "augment_pipe.imgfilter_bands"),
        ({}, -1.0, "augment_pipe.p"),
        ({}, np.nan, "augment_pipe.p"),
        ({}, [0.5, 0.5], "augment_pipe.p"),
    ],
)
def test_augmentations_without_counterpart_are_refused_by_name(convert, kwargs, p, message):
    pipe = writer.module_tree("AugmentPipe", kwargs, {"p": np.asarray(p, np.float32)})
    with pytest.raises(PickleRefused, match=message):
        convert(augment_pipe=pipe)


def test_shapes_are_compared_by_name():
    leaf = np.zeros((2, 3))
    check_shapes({"a": {"b": leaf}}, {"a": {"b": jax.ShapeDtypeStruct((2, 3), np.float32)}}, "G")
    for found, message in [
        ({"a": {}}, "G.a.b: missing"),
        ({"a": {"b": leaf, "c": leaf}}, "G.a.c: not part of the network"),
        ({"a": {"b": leaf.T}}, r"G.a.b: found shape \(3, 2\), allowed: \(2, 3\)"),
        ({"a": leaf}, "G.a: a tensor in place of a module"),
    ]:
        with pytest.raises(PickleRefused, match=message):
            check_shapes(found, {"a": {"b": leaf}}, "G")
