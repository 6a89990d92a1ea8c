"""PGGAN as a whole: what build() makes and refuses, and published parameter counts."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from growing_networks import filled, run

from flaxgan.networks import pggan

COUNTS = json.loads((pathlib.Path(__file__).parents[1] / "goldens/families/param_counts.json").read_text())
TINY = {"image_shape": (8, 12, 1), "num_classes": 3, "z_dim": 5, "channel_base": 32, "channel_max": 4}
Z = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
LABELS = jnp.array([0, 1, 2, 0])


def _abstract(gan, batch_size=4):
    """Shapes of both networks' parameters, of the images and of the discriminator's output."""
    z = jax.ShapeDtypeStruct((batch_size, gan.z_dim), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
    images, g = jax.eval_shape(gan.generator.init_with_output, jax.random.key(0), z, labels)
    output, d = jax.eval_shape(gan.discriminator.init_with_output, jax.random.key(0), images, labels)
    return g["params"], d["params"], images, output


def _count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("fields", "g_name", "d_name"),
    [
        ({"image_shape": (256, 256, 3)}, "tkarras PGGAN 256 G_paper", "tkarras PGGAN 256 D_paper"),
        ({"image_shape": (1024, 1024, 3)}, "tkarras PGGAN 1024 G_paper", "tkarras PGGAN 1024 D_paper"),
        (
            {"image_shape": (256, 256, 3), "channel_base": 8192, "channel_max": 256, "z_dim": 256},
            "pengge PGGAN 256 fmap_base 4096 max 256 G",
            "pengge PGGAN 256 D",
        ),
    ],
)
def test_published_parameter_counts(fields, g_name, d_name):
    g, d, *_ = _abstract(pggan.build(num_classes=0, **fields))
    assert (_count(g), _count(d)) == (COUNTS[g_name]["total"], COUNTS[d_name]["total"])


@pytest.mark.parametrize("shape", [(64, 96, 3), (40, 56, 1), (8, 8, 2)])
def test_any_grid_and_number_of_channels(shape):
    gan = pggan.build(image_shape=shape, num_classes=0, channel_base=256, channel_max=8)
    g, d, images, output = _abstract(gan)
    assert (images.shape, images.dtype) == ((4, *shape), jnp.float32)
    assert (output.logits.shape, output.logits.dtype) == ((4,), jnp.float32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))
    assert gan.stages[-1] == shape[:2] and gan.stages[0][0] * 2 ** (len(gan.stages) - 1) == shape[0]


def test_gan_describes_its_networks():
    gan = pggan.build(**TINY)
    assert (gan.z_dim, gan.image_shape, gan.num_classes, gan.has_style) == (5, (8, 12, 1), 3, False)
    assert gan.stages == ((4, 6), (8, 12))
    _, d, *_ = _abstract(gan)
    assert gan.d_layers == ("fromrgb8", "b8/conv0", "b8/conv1")
    assert "weight" in d["fromrgb8"] and "weight" in d["b8"]["conv1"]


def test_fields_reach_the_networks():
    lrn = {"g_norm": "local_response", "lrn_size": 3, "lrn_alpha": 0.1, "lrn_beta": 0.75, "lrn_k": 2.0}
    fields = {"mbstd_averaging": "group2", "minibatch_kernels": 7, "d_labels": "classify", "g_output": "tanh"}
    gan = pggan.build(**TINY, **lrn, **fields, initializer="he", pool_after_activation=True)
    _, d, _, output = _abstract(gan)
    assert d["b4"]["conv"]["weight"].shape[2] == 6 and d["b4"]["out"]["weight"].shape == (11, 4)
    assert output.class_logits.shape == (4, 3) and gan.generator.output == "tanh"
    assert gan.generator.initializer == gan.discriminator.initializer == "he"
    assert gan.discriminator.pool_after_activation
    norm = gan.generator.norm
    assert (norm.kind, norm.size, norm.scale, norm.exponent, norm.epsilon) == ("local_response", 3, 0.1, 0.75, 2.0)
    assert pggan.build(**TINY).generator.norm.epsilon == 1e-8


def test_labels_matter_to_both_networks():
    gan = pggan.build(**TINY)
    g = filled(gan.generator, Z, LABELS)
    images = run(gan.generator, g, Z, LABELS)
    assert np.max(np.abs(run(gan.generator, g, Z, (LABELS + 1) % 3) - images)) > 1e-3
    d = filled(gan.discriminator, images, LABELS)
    scores = [run(gan.discriminator, d, images, labels).logits for labels in (LABELS, (LABELS + 1) % 3)]
    assert np.max(np.abs(scores[0] - scores[1])) > 1e-3


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("image_shape", (10, 65, 3)),
        ("num_classes", -1),
        ("z_dim", 0),
        ("channel_base", 4),
        ("channel_max", 0),
        ("normalize_latents", 1),
        ("g_norm", "batch"),
        ("lrn_size", 0),
        ("lrn_alpha", 0.0),
        ("lrn_beta", -1.0),
        ("lrn_k", 0.0),
        ("g_output", "sigmoid"),
        ("initializer", "xavier"),
        ("d_labels", "projection"),
        ("pool_after_activation", None),
        ("mbstd_averaging", "group3"),
        ("mbstd_averaging", "groups"),
        ("mbstd_group_size", 0),
        ("mbstd_num_channels", 3),
        ("mbstd_by_class", 1),
        ("minibatch_kernels", -1),
        ("dtype", "float64"),
        ("low_precision_resolutions", -1),
        ("remat", "true"),
    ],
)
def test_wrong_field_is_refused_by_name(field, found):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        pggan.build(**{**TINY, field: found})


def test_classes_are_needed_for_what_is_made_of_them():
    with pytest.raises(ValueError, match="mbstd_by_class: found True, allowed: False without classes"):
        pggan.build(**{**TINY, "num_classes": 0}, mbstd_by_class=True)
    with pytest.raises(ValueError, match="mbstd_by_class: found True, allowed: False"):
        pggan.build(**TINY, mbstd_by_class=True, mbstd_averaging="all")
    with pytest.raises(ValueError, match="d_labels: found 'classify', allowed: 'select' without classes"):
        pggan.build(**{**TINY, "num_classes": 0}, d_labels="classify")
