"""SAGAN as a whole: published sizes, where attention stands, its norms, and what is refused."""

import functools
import json
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.networks import sagan
from flaxgan.nn.generator_norm import NORMS

COUNTS = json.loads((pathlib.Path(__file__).parents[1] / "goldens/families/param_counts.json").read_text())
KEY = jax.random.key(0)
LABELS = jnp.array([0, 1, 0])
TINY = {"image_shape": (16, 16, 1), "num_classes": 2, "g_channels": 1, "d_channels": 1, "z_dim": 5}


def _build(**fields):
    return sagan.build(**{**TINY, **fields})


@functools.cache
def _abstract(gan):
    """Shapes of the variables of both networks, of the images and of the discriminator's output."""
    z = jax.ShapeDtypeStruct((3, gan.z_dim), jnp.float32)
    images, g = jax.eval_shape(gan.generator.init_with_output, KEY, z, LABELS)
    output, d = jax.eval_shape(gan.discriminator.init_with_output, KEY, images, LABELS)
    return g, d, images, output


def _filled(shapes):
    """Random variables of these shapes; variances are positive."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: (0.5 * rng.standard_normal(leaf.shape)).astype(np.float32)
    return {
        name: jax.tree.map(draw if name == "params" else lambda leaf: np.abs(draw(leaf)), tree)
        for name, tree in shapes.items()
    }


@pytest.mark.parametrize(
    ("pixels", "num_classes", "fields"),
    [(32, 10, {"d_channels": 32, "d_attention_px": (8,)}), (128, 1000, {"d_channels": 8})],
)
def test_published_parameter_counts(pixels, num_classes, fields):
    """mimicry's discriminator at 128x128 is 8 times narrower than the paper's."""
    gan = sagan.build(image_shape=(pixels, pixels, 3), num_classes=num_classes, **fields)
    expected = [entry["total"] for name, entry in COUNTS.items() if name.startswith(f"mimicry SAGAN{pixels} ")]
    count = lambda variables: sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert [count(variables) for variables in _abstract(gan)[:2]] == expected


def test_attention_follows_one_block_of_each_network():
    """At 32x32, or half the image where that is less; of the discriminator's blocks of a size, the first."""
    for shape, fields, g_blocks, d_blocks in (
        ((128, 128, 3), {}, (2,), (1,)),
        ((32, 32, 3), {}, (1,), (0,)),
        ((32, 32, 3), {"d_attention_px": (8,)}, (1,), (1,)),
        ((16, 16, 1), {}, (0,), (0,)),
        ((8, 8, 1), {}, (0,), (0,)),
        ((96, 96, 1), {}, (1,), (1,)),  # Where there is no 32x32, at 24x24.
        ((16, 16, 1), {"g_attention_px": (), "d_attention_px": (8, 4)}, (), (0, 1)),
    ):
        gan = _build(image_shape=shape, **fields)
        assert (gan.generator.body.attention, gan.discriminator.attention) == (g_blocks, d_blocks)


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 24, 3), (40, 56, 2)])
def test_any_grid_and_number_of_channels(shape):
    for num_classes in (0, 2):
        gan = _build(image_shape=shape, num_classes=num_classes)
        g, d, images, output = _abstract(gan)
        assert (images.shape, images.dtype) == ((3, *shape), jnp.float32)
        assert (output.logits.shape, output.logits.dtype, output.features.dtype) == ((3,), jnp.float32, jnp.float32)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))
        assert ("embed" in d["params"]["head"]) == (num_classes > 0)
        assert {path.split("/")[0] for path in gan.d_layers} == set(d["params"]) - {"head"}


@pytest.mark.parametrize("norm", NORMS)
def test_any_normalization_of_the_generator(norm):
    """With classes exactly those that depend on them; the last one is without classes, but for self-modulation."""
    owned = {
        "batch": {"norm": {"scale", "bias"}},
        "conditional": {"norm": {"embed"}},
        "self_modulated": {"norm": {"hidden", "gamma", "beta"}},
        "layer": {"norm": {"scale", "bias"}},
        "instance": {"norm": {"scale", "bias"}},
        "none": {},
    }
    for num_classes in (0, 2):
        fits = norm == "self_modulated" or (norm == "conditional") == (num_classes > 0)
        if not fits:
            with pytest.raises(ValueError, match=f"^g_norm: found '{norm}', allowed: "):
                _build(g_norm=norm, num_classes=num_classes)
            continue
        params = _abstract(_build(g_norm=norm, num_classes=num_classes))[0]["params"]
        names = lambda tree: {name: set(layer) for name, layer in tree.items()}
        assert names(params["body"]["block1"].get("norm1", {})) == owned[norm]
        assert names(params["body"].get("norm", {})) == owned["batch" if norm == "conditional" else norm]
        assert ("latent" in params) == (norm == "self_modulated" and num_classes > 0)


def test_latent_and_class_change_images_and_logits():
    """And training moves all statistics and vectors, which evaluation leaves."""
    gan = _build(upsampling="bilinear")
    g, d = map(_filled, _abstract(gan)[:2])
    z = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)

    def call(network, variables, x, labels, train):
        mutable = [name for name in variables if name != "params"]
        return network.apply(variables, x, labels, train=train, mutable=mutable)

    def everything(g, d):
        images, kept = call(gan.generator, g, z, LABELS, False)
        output, d_kept = call(gan.discriminator, d, images, LABELS, False)
        others = [call(gan.generator, g, *other, False)[0] - images for other in ((z + 1, LABELS), (z, 1 - LABELS))]
        logits = call(gan.discriminator, d, images, 1 - LABELS, False)[0].logits - output.logits
        moved = call(gan.generator, g, z, LABELS, True)[1], call(gan.discriminator, d, images, LABELS, True)[1]
        return others, logits, (kept, d_kept), moved

    others, logits, kept, moved = program(everything)(g, d)
    assert all(np.all(np.max(np.abs(other), axis=(1, 2, 3)) > 1e-4) for other in others)
    assert np.all(np.abs(logits) > 1e-5)
    state = tuple({name: tree for name, tree in variables.items() if name != "params"} for variables in (g, d))
    chex.assert_trees_all_equal(kept, state)
    change = lambda path, new, old: path[-1].key != "u" or new.size == 1 or bool(np.any(new != old))
    assert all(jax.tree.leaves(jax.tree_util.tree_map_with_path(change, moved, state)))


def test_fields_reach_both_networks():
    default = _build()
    assert default == _build() and hash(default.generator) == hash(_build().generator)
    for name, value in {"g_spectral": False, "spectral_eps": 0.5, "initializer": "normal", "norm_eps": 0.5}.items():
        assert _build(**{name: value}).generator != default.generator
    for name, value in {"d_spectral": False, "d_wide": True, "d_activated_shortcut": True, "projection": False}.items():
        changed = _build(**{name: value})
        assert changed.discriminator != default.discriminator and changed.generator == default.generator
    widths = _build(g_multipliers=(3, 2, 1), d_multipliers=(1, 2, 3))
    assert (widths.generator.body.channels, widths.discriminator.channels) == ((3, 2, 1), (1, 2, 3))
    assert widths.discriminator.hidden_channels == (1, 1, 2)  # SNGAN's: blocks but the first widen last.


def test_low_precision_ends_in_float32_and_double_stays_double():
    low = _abstract(_build(dtype="bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(low)} == {jnp.dtype("float32")}
    gan = _build()
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), tree)
        g, d, images, _ = map(double, _abstract(gan))
        z = jax.ShapeDtypeStruct((3, 5), jnp.float64)
        assert jax.eval_shape(gan.generator.apply, g, z, LABELS).dtype == jnp.float64
        assert jax.eval_shape(gan.discriminator.apply, d, images, LABELS).logits.dtype == jnp.float64


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"image_shape": (8, 7, 1)}, "image_shape"),
        ({"num_classes": -1}, "num_classes"),
        ({"z_dim": 0}, "z_dim"),
        ({"g_channels": 0}, "g_channels"),
        ({"d_channels": 0}, "d_channels"),
        ({"g_multipliers": (1, 2)}, "g_multipliers"),
        ({"d_multipliers": (1, 2)}, "d_multipliers"),
        ({"g_attention_px": (64,)}, "g_attention_px"),
        ({"d_attention_px": (16,)}, "d_attention_px"),
        ({"d_attention_px": 8}, "d_attention_px"),
        ({"g_norm": "spectral"}, "g_norm"),
        ({"upsampling": "cubic"}, "upsampling"),
        ({"d_wide": 1}, "d_wide"),
        ({"d_activated_shortcut": 1}, "d_activated_shortcut"),
        ({"g_spectral": 1}, "g_spectral"),
        ({"d_spectral": None}, "d_spectral"),
        ({"projection": 1}, "projection"),
        ({"projection": True, "num_classes": 0}, "projection"),
        ({"initializer": "zeros"}, "initializer"),
        ({"spectral_eps": 0}, "spectral_eps"),
        ({"norm_eps": 0}, "norm_eps"),
        ({"norm_momentum": -1}, "norm_momentum"),
        ({"norm_unbiased": 0}, "norm_unbiased"),
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
    for network, x in ((gan.generator, jnp.zeros((3, 5))), (gan.discriminator, jnp.zeros((3, 16, 16, 1)))):
        with pytest.raises(ValueError, match="^labels: found None"):
            jax.eval_shape(network.init, KEY, x)
