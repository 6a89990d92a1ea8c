"""StyleGAN as a whole: what build() makes and refuses, published parameter counts, and its generator."""

import json
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from growing_networks import filled, run

from flaxgan.networks import stylegan

COUNTS = json.loads((pathlib.Path(__file__).parents[1] / "goldens/families/param_counts.json").read_text())
TINY = {
    "image_shape": (8, 12, 1),
    "num_classes": 3,
    "z_dim": 5,
    "w_dim": 6,
    "mapping_layers": 2,
    "mapping_lr_multiplier": 1.0,
    "channel_base": 32,
    "channel_max": 4,
}
Z = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
LABELS = jnp.array([0, 1, 2, 0])
NOISE = {"rngs": {"noise": jax.random.key(3)}}


def _abstract(gan, batch_size=4):
    """Shapes of both networks' variables, of the images and of the discriminator's output."""
    z = jax.ShapeDtypeStruct((batch_size, gan.z_dim), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
    images, g = jax.eval_shape(gan.generator.init_with_output, jax.random.key(0), z, labels)
    output, d = jax.eval_shape(gan.discriminator.init_with_output, jax.random.key(0), images, labels)
    return g, d, images, output


def _count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("resolution", [256, 1024])
def test_published_parameter_counts(resolution):
    g, d, *_ = _abstract(stylegan.build(image_shape=(resolution, resolution, 3), num_classes=0))
    parts = [_count(part) for part in (g["params"]["mapping"], g["params"]["synthesis"], d["params"])]
    names = [f"NVlabs StyleGAN1 {resolution} {part}" for part in ("G_mapping", "G_synthesis", "D_basic")]
    assert parts == [COUNTS[name]["total"] for name in names]
    if resolution == 1024:
        ports = [f"huangzh13 StyleGAN1 1024 {part}" for part in ("mapping", "synthesis", "D")]
        assert parts == [COUNTS[name]["total"] for name in ports]


@pytest.mark.parametrize("shape", [(64, 96, 3), (40, 56, 1), (8, 8, 2)])
def test_any_grid_and_number_of_channels(shape):
    gan = stylegan.build(image_shape=shape, num_classes=0, channel_base=256, channel_max=8)
    g, d, images, output = _abstract(gan)
    assert (images.shape, images.dtype) == ((4, *shape), jnp.float32)
    assert (output.logits.shape, output.logits.dtype) == ((4,), jnp.float32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))
    assert gan.stages[-1] == shape[:2] and gan.generator.num_ws == 2 * len(gan.stages)


def test_gan_describes_its_networks():
    gan = stylegan.build(**TINY)
    assert (gan.z_dim, gan.image_shape, gan.num_classes, gan.has_style) == (5, (8, 12, 1), 3, True)
    assert gan.stages == ((4, 6), (8, 12)) and gan.generator.num_ws == 4
    assert gan.d_layers == ("fromrgb8", "b8/conv0", "b8/conv1")
    g, d, *_ = _abstract(gan)
    assert set(g["params"]) == {"mapping", "synthesis"} and g["buffers"]["mapping"]["w_avg"].shape == (6,)
    assert d["params"]["b4"]["out"]["weight"].shape == (4, 3)


def test_fields_reach_the_networks():
    fields = {"embed_features": 7, "layer_features": 9, "use_noise": False, "mbstd_num_channels": 2}
    gan = stylegan.build(**TINY, **fields, instance_norm_eps=1e-5, blur_filter=None, initializer="he")
    g, d, *_ = _abstract(gan)
    mapping = g["params"]["mapping"]
    assert (mapping["embed"].shape, mapping["fc0"]["weight"].shape) == ((3, 7), (12, 9))
    assert "synthesis" not in g["buffers"] and d["params"]["b4"]["conv"]["weight"].shape[2] == 6
    synthesis, discriminator = gan.generator.synthesis, gan.discriminator
    assert synthesis.instance_norm_eps == 1e-5 and synthesis.blur_filter is discriminator.blur_filter is None
    assert gan.generator.mapping.initializer == synthesis.initializer == discriminator.initializer == "he"


def test_call_is_map_and_synthesize_at_any_stage():
    gan = stylegan.build(**TINY, noise_mode="const")
    g = filled(gan.generator, Z, LABELS)
    ws = run(gan.generator, g, Z, LABELS, method="map", truncation_psi=0.5, truncation_cutoff=2)
    for stage in (0, None):
        called = run(gan.generator, g, Z, LABELS, truncation_psi=0.5, truncation_cutoff=2, stage=stage, alpha=0.25)
        images = run(gan.generator, g, ws, method="synthesize", stage=stage, alpha=0.25)
        assert called.shape == (4, *gan.stages[-1 if stage is None else stage], 1)
        np.testing.assert_allclose(called, images, rtol=1e-4, atol=1e-4)
    none = run(gan.generator, g, ws, method="synthesize", noise_mode="none")
    assert np.max(np.abs(none - run(gan.generator, g, ws, method="synthesize"))) > 1e-3


def test_training_moves_the_average_style_alone():
    gan = stylegan.build(**TINY)
    g = filled(gan.generator, Z, LABELS)
    options = {"train": True, "mutable": ["buffers"], "stage": 0, **NOISE}
    images, updated = run(gan.generator, g, Z, LABELS, **options)
    assert images.shape == (4, 4, 6, 1)
    assert np.all(updated["buffers"]["mapping"]["w_avg"] != g["buffers"]["mapping"]["w_avg"])
    chex.assert_trees_all_equal(updated["buffers"]["synthesis"], g["buffers"]["synthesis"])


def test_labels_matter_to_both_networks():
    gan = stylegan.build(**TINY, noise_mode="const")
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
        ("w_dim", 0),
        ("mapping_layers", 0),
        ("embed_features", 0),
        ("layer_features", 0),
        ("mapping_lr_multiplier", 0.0),
        ("w_avg_beta", 1.5),
        ("channel_base", 4),
        ("channel_max", 0),
        ("use_noise", None),
        ("noise_mode", "constant"),
        ("blur_filter", (1, 2)),
        ("blur_filter", (1, 0, -1)),
        ("blur_filter", 3),
        ("instance_norm_eps", 0.0),
        ("initializer", "xavier"),
        ("mbstd_averaging", "some"),
        ("mbstd_group_size", 0),
        ("mbstd_num_channels", 3),
        ("mbstd_by_class", 1),
        ("dtype", "float64"),
        ("low_precision_resolutions", -1),
        ("remat", "true"),
    ],
)
def test_wrong_field_is_refused_by_name(field, found):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        stylegan.build(**{**TINY, field: found})
