"""BigGAN and BigGAN-deep as wholes: published sizes, what classes and latents reach, and what is refused."""

import functools
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.networks import biggan

COUNTS = json.loads((pathlib.Path(__file__).parents[1] / "goldens/families/param_counts.json").read_text())
KEY = jax.random.key(0)
LABELS = jnp.array([0, 1, 0])

STUDIOGAN_CIFAR = {"g_channels": 96, "d_channels": 48, "z_dim": 80, "g_attention_px": (16,), "d_attention_px": (16,)}
DEEP = {"g_channels": 128, "d_channels": 128, "deep": True}

DEEP_TINY = {"deep": True, "g_channels": 4, "d_channels": 4}
TINY = {"image_shape": (16, 16, 1), "num_classes": 2, "g_channels": 1, "d_channels": 1, "z_dim": 6, "shared_dim": 3}


def _build(**fields):
    return biggan.build(**{**TINY, **fields})


@functools.cache
def _abstract(gan, batch_size=3):
    """Shapes of the variables of both networks, of the images and of the discriminator's output."""
    z, labels = jax.ShapeDtypeStruct((batch_size, gan.z_dim), jnp.float32), jnp.zeros(batch_size, int)
    images, g = jax.eval_shape(gan.generator.init_with_output, KEY, z, labels)
    output, d = jax.eval_shape(gan.discriminator.init_with_output, KEY, images, labels)
    return g, d, images, output


def _filled(shapes):
    """Random variables of these shapes; variances are positive."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: (0.5 * rng.standard_normal(leaf.shape)).astype(np.float32)
    return {
        name: jax.tree.map(draw if name == "params" else lambda leaf: np.abs(draw(leaf)), tree)
        for name, tree in shapes.items()
    }


def _count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


ROWS = {
    "ajbrock BigGAN-128 ch96": (128, 1000, {}),
    "ajbrock BigGAN-128 ch64": (128, 1000, {"g_channels": 64, "d_channels": 64}),
    "ajbrock BigGAN-256 ch96": (256, 1000, {}),
    "ajbrock CIFAR10 BigGAN-32": (32, 10, {"g_channels": 64, "d_channels": 64, "shared_dim": 0}),
    "ajbrock BigGANdeep-128 ch128 depth2": (128, 1000, DEEP),
    "StudioGAN BigGAN-CIFAR10": (32, 10, STUDIOGAN_CIFAR),
    "StudioGAN BigGAN-ImageNet128": (128, 1000, {}),
    "StudioGAN BigGAN-Deep-ImageNet128 legacy": (128, 1000, DEEP),
}
OF_ANOTHER_FORM = {"StudioGAN BigGAN-Deep-ImageNet128 studiogan"}
"""It has a learned 1x1 shortcut where the paper's blocks drop channels or add some, and other widths."""


def _row(name):
    """A name in the list of counts, without its remarks in brackets and the network at its end."""
    return re.sub(r" \(.*\)", "", name)[: -len(" G")]


def test_every_published_row_is_counted():
    assert {_row(name) for name in COUNTS if "BigGAN" in name} == {*ROWS, *OF_ANOTHER_FORM}


@pytest.mark.parametrize("row", ROWS)
def test_published_parameter_counts(row):
    pixels, num_classes, fields = ROWS[row]
    g, d, *_ = _abstract(biggan.build(image_shape=(pixels, pixels, 3), num_classes=num_classes, **fields))
    assert [_count(g), _count(d)] == [entry["total"] for name, entry in COUNTS.items() if _row(name) == row]


def test_widths_and_latents_at_every_published_size():
    """Brock et al. 2019, tables 4 to 9 (multiples of the width), and half of that below."""
    for pixels, g_channels, d_channels, downsamples, z_dim in (
        (8, (4, 4), (4, 4, 4), 1, 40),
        (16, (4, 4, 4), (4, 4, 4, 4), 2, 60),
        (32, (4, 4, 4, 4), (4, 4, 4, 4), 2, 80),
        (64, (16, 16, 8, 4, 2), (1, 2, 4, 8, 16), 4, 100),
        (128, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5, 120),
        (256, (16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16), 6, 140),
        (512, (16, 16, 8, 8, 4, 2, 1, 1), (1, 1, 2, 4, 8, 8, 16, 16), 7, 160),
    ):
        gan = _build(image_shape=(pixels, pixels, 3), z_dim=None)
        assert (gan.generator.body.channels, gan.discriminator.channels) == (g_channels, d_channels)
        assert (gan.discriminator.downsamples, gan.z_dim) == (downsamples, z_dim)
    gan = _build(image_shape=(1024, 1024, 3), z_dim=None, g_multipliers=(2,) * 9, d_multipliers=(1,) * 9 + (3,))
    assert gan.generator.body.channels == (2,) * 9 and gan.discriminator.channels == (1,) * 9 + (3,)


def test_attention_stands_at_the_resolutions_asked_for():
    """By default at 64x64 in networks of larger images; in the discriminator after each block of that size."""
    for pixels, fields, g_blocks, d_blocks in (
        (32, {}, (), ()),
        (64, {}, (), ()),
        (128, {}, (3,), (0,)),
        (256, {}, (3,), (1,)),
        (96, {}, (2,), (0,)),  # Where there is no 64x64, at 48x48.
        (128, {"g_attention_px": (8, 128), "d_attention_px": (4,)}, (0, 4), (4, 5)),
    ):
        gan = _build(image_shape=(pixels, pixels, 3), z_dim=None, **fields)
        assert (gan.generator.body.attention, gan.discriminator.attention) == (g_blocks, d_blocks)
    g, d, *_ = _abstract(_build(g_attention_px=(8,), d_attention_px=(8,)))
    assert "attention1" in g["params"]["body"] and "attention1" in d["params"]


@pytest.mark.parametrize(
    ("shape", "fields"), [((8, 8, 1), {}), ((40, 56, 2), {}), ((16, 24, 3), DEEP_TINY)], ids=["8", "40x56", "deep"]
)
def test_any_grid_and_number_of_channels(shape, fields):
    for num_classes in (0, 2):
        gan = _build(image_shape=shape, num_classes=num_classes, z_dim=None, **fields)
        g, d, images, output = _abstract(gan)
        assert (images.shape, images.dtype) == ((3, *shape), jnp.float32)
        assert (output.logits.shape, output.logits.dtype, output.features.dtype) == ((3,), jnp.float32, jnp.float32)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))
        assert ("shared" in g["params"]) == ("embed" in d["params"]["head"]) == (num_classes > 0)
        kernels = jax.tree_util.tree_leaves_with_path(d["params"])
        owners = {"/".join(key.key for key in path[:-1]) for path, _ in kernels}
        assert set(gan.d_layers) == {path for path in owners if not path.startswith("head")}


def test_layers_of_the_discriminator_go_from_image_to_logit():
    plain = _build(image_shape=(8, 8, 1), z_dim=None, d_attention_px=(4,)).d_layers
    assert plain[:4] == ("block1/conv1", "block1/conv2", "block1/shortcut", "attention1")
    assert plain[4:] == ("block2/conv1", "block2/conv2", "attention2", "block3/conv1", "block3/conv2", "attention3")
    deep = _build(image_shape=(8, 8, 1), z_dim=None, **DEEP_TINY, d_multipliers=(1, 2)).d_layers
    assert deep[:6] == ("stem", *(f"block1_1/conv{i}" for i in range(1, 5)), "block1_1/shortcut")
    assert deep[6:] == tuple(f"block1_2/conv{i}" for i in range(1, 5))


def test_a_block_sees_the_class_and_its_own_chunk_of_the_latent():
    """The first chunk reaches the dense layer, the others one block's norms each; of BigGAN-deep, z reaches all."""

    def width(gan, path):
        return functools.reduce(lambda node, name: node[name], path, _abstract(gan)[0]["params"]).shape[0]

    norm = ("norm1", "norm", "gain", "kernel")
    for fields, base, block in (
        ({}, 2, 3 + 2),
        ({"num_classes": 0}, 2, 2),
        ({"hierarchical": False}, 6, 3),
        ({"shared_dim": 0}, 6, 2),
    ):
        gan = _build(**fields)
        found = [width(gan, ("body", "base", "kernel")), width(gan, ("body", "block2", *norm))]
        assert found == [base, block]
    deep = _build(**DEEP_TINY)
    assert [width(deep, ("body", *path)) for path in (("base", "kernel"), ("block1_2", *norm))] == [9, 9]


def test_each_chunk_and_the_class_change_the_images():
    gan = _build()
    variables = _filled(_abstract(gan)[0])
    z = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    calls = {f"chunk {chunk}": (z + np.repeat(np.eye(3, dtype=np.float32)[chunk], 2), LABELS) for chunk in range(3)}
    calls |= {"class": (z, 1 - LABELS), "soft": (z, jnp.eye(2)[LABELS])}

    def distances(variables):
        images = gan.generator.apply(variables, z, LABELS)
        return {name: jnp.abs(gan.generator.apply(variables, *call) - images).max() for name, call in calls.items()}

    found = program(distances)(variables)
    assert found.pop("soft") < 1e-5 and min(found.values()) > 1e-3


@pytest.mark.parametrize("num_classes", [0, 2])
@pytest.mark.parametrize("fields", [{}, DEEP_TINY], ids=["plain", "deep"])
def test_self_modulation_takes_the_place_of_every_norm(fields, num_classes):
    """Of z, or z' with classes, which then are nowhere else in the generator."""
    gan = _build(g_norm="self_modulated", num_classes=num_classes, z_dim=7, **fields)
    g = _abstract(gan)[0]["params"]
    assert set(g) == ({"body", "latent"} if num_classes else {"body"})
    names = [name for name in g["body"] if name.startswith("block")]
    norms = [norm for name in names for key, norm in g["body"][name].items() if key.startswith("norm")]
    for norm in [*norms, g["body"]["norm"]]:
        assert norm["norm"]["hidden"]["kernel"].shape == (7, 32)
    assert g["body"]["base"]["kernel"].shape[0] == 7


def test_plain_norms_are_for_generators_without_classes():
    g, *_ = _abstract(_build(num_classes=0, g_norm="batch"))
    assert set(g["params"]["body"]["block1"]["norm1"]["norm"]) == {"scale", "bias"}


def test_width_of_the_discriminators_blocks():
    hidden = lambda **fields: _abstract(_build(d_multipliers=(2, 3, 5), **fields))[1]["params"]["block2"]["conv1"]
    assert [hidden(d_wide=wide)["kernel"].shape[3] for wide in (True, False)] == [3, 2]


def test_spectral_normalization_of_either_network():
    """Not of class embeddings of the generator, whether one is shared or each norm has its own."""
    for fields in ({}, {"shared_dim": 0}):
        for g_spectral, d_spectral in ((True, False), (False, True)):
            gan = _build(g_spectral=g_spectral, d_spectral=d_spectral, **fields)
            g, d, *_ = _abstract(gan)
            kernels = [path for path, _ in jax.tree_util.tree_leaves_with_path(g["params"]) if path[-1].key == "kernel"]
            if "shared_dim" in fields:
                kernels = [path for path in kernels if path[-2].key not in ("gain", "offset")]
            assert len(jax.tree.leaves(g.get("spectral", {}))) == 2 * len(kernels) * g_spectral
            assert ("spectral" in d) == d_spectral and (not d_spectral or "embed" in d["spectral"]["head"])
    options = {"spectral_eps": 0.5, "spectral_iterations": 3, "spectral_eval_iterates": False}
    gan = _build(**options)
    found = gan.generator.body.spectral
    assert (found.eps, found.iterations, found.eval_iterates) == tuple(options.values())
    assert found == gan.discriminator.spectral == gan.generator.body.norm.spectral


def test_weights_are_orthogonal_at_first():
    def kernels():
        """Matrices with a row for each output."""
        g = _build(g_channels=2).generator.init(KEY, jnp.ones((1, 6)), LABELS[:1])["params"]
        body = g["body"]
        found = [body["base"], body["block1"]["conv1"], body["block1"]["norm1"]["norm"]["gain"]]
        return [layer["kernel"].reshape(-1, layer["kernel"].shape[-1]).T for layer in found] + [
            g["shared"]["embedding"]
        ]

    for matrix in program(kernels)():
        rows = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-5)


def test_equal_fields_make_equal_networks():
    """So that a program is compiled once for them."""
    assert _build() == _build() != _build(d_wide=False)
    assert hash(_build().generator) == hash(_build().generator)


def test_low_precision_ends_in_float32_and_double_stays_double():
    for fields in ({}, DEEP_TINY):
        low = _abstract(_build(dtype="bfloat16", g_attention_px=(8,), d_attention_px=(8,), **fields))
        assert {leaf.dtype for leaf in jax.tree.leaves(low)} == {jnp.dtype("float32")}
    gan = _build()
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), tree)
        g, d, images, _ = map(double, _abstract(gan))
        z = jax.ShapeDtypeStruct((3, 6), jnp.float64)
        assert jax.eval_shape(gan.generator.apply, g, z, LABELS).dtype == jnp.float64
        assert jax.eval_shape(gan.discriminator.apply, d, images, LABELS).logits.dtype == jnp.float64


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"image_shape": (8, 7, 1)}, "image_shape"),
        ({"num_classes": -1}, "num_classes"),
        ({"z_dim": 7}, "z_dim"),
        ({"z_dim": 0}, "z_dim"),
        ({"shared_dim": -1}, "shared_dim"),
        ({"g_norm": "layer"}, "g_norm"),
        ({"g_norm": "batch"}, "g_norm"),
        ({"hierarchical": 1}, "hierarchical"),
        ({"hierarchical": True, "shared_dim": 0}, "hierarchical"),
        ({"hierarchical": True, "g_norm": "self_modulated"}, "hierarchical"),
        ({"hierarchical": False, "num_classes": 0}, "hierarchical"),
        ({"hierarchical": False, "deep": True}, "hierarchical"),
        ({"shared_dim": 0, "deep": True}, "hierarchical"),
        ({"g_channels": 0}, "g_channels"),
        ({"d_channels": 1.5}, "d_channels"),
        ({"deep": True, "g_multipliers": (4, 4, 3), "d_channels": 4}, "g_channels"),
        ({"deep": True, "g_channels": 4, "d_multipliers": (3, 4, 4)}, "d_channels"),
        ({"deep": True, "g_channels": 4, "g_multipliers": (1, 2, 1), "d_channels": 4}, "g_multipliers"),
        ({"deep": True, "g_channels": 4, "d_channels": 4, "d_multipliers": (1, 2, 1)}, "d_multipliers"),
        ({"g_multipliers": (4, 4)}, "g_multipliers"),
        ({"g_multipliers": (4, 4, 4, 4)}, "g_multipliers"),
        ({"g_multipliers": (4, 4, 0)}, "g_multipliers"),
        ({"d_multipliers": (4, 4)}, "d_multipliers"),
        ({"d_multipliers": 4}, "d_multipliers"),
        ({"image_shape": (1024, 1024, 3), "z_dim": None}, "g_multipliers"),
        ({"image_shape": (1024, 1024, 3), "z_dim": None, "g_multipliers": (1,) * 9}, "d_multipliers"),
        ({"g_attention_px": (32,)}, "g_attention_px"),
        ({"g_attention_px": 8}, "g_attention_px"),
        ({"d_attention_px": (16,)}, "d_attention_px"),
        ({"g_depth": 0}, "g_depth"),
        ({"d_depth": 0}, "d_depth"),
        ({"deep": 1}, "deep"),
        ({"d_wide": None}, "d_wide"),
        ({"d_activated_shortcut": 0}, "d_activated_shortcut"),
        ({"g_spectral": 1}, "g_spectral"),
        ({"d_spectral": 1}, "d_spectral"),
        ({"initializer": "zeros"}, "initializer"),
        ({"spectral_eps": 0}, "spectral_eps"),
        ({"spectral_iterations": 0}, "spectral_iterations"),
        ({"spectral_eval_iterates": 1}, "spectral_eval_iterates"),
        ({"norm_eps": 0}, "norm_eps"),
        ({"norm_momentum": 2}, "norm_momentum"),
        ({"norm_unbiased": 1}, "norm_unbiased"),
        ({"hidden": 0}, "hidden"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, field):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        _build(**fields)


def test_wrong_images_and_missing_labels_are_refused():
    gan = _build()
    with pytest.raises(ValueError, match=r"^images: found shape \(3, 16, 8, 1\), allowed: \[N, 16, 16, 1\]"):
        jax.eval_shape(gan.discriminator.init, KEY, jnp.zeros((3, 16, 8, 1)), LABELS)
    for one in (gan, _build(shared_dim=0), _build(g_norm="self_modulated")):
        for network, x in ((one.generator, jnp.zeros((3, 6))), (one.discriminator, jnp.zeros((3, 16, 16, 1)))):
            with pytest.raises(ValueError, match="^labels: found None"):
                jax.eval_shape(network.init, KEY, x)
