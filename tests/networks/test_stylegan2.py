"""StyleGAN2 as a whole: what build() makes, and how its generator and discriminator behave."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import types
from flaxgan.networks import stylegan2
from flaxgan.nn.style_discriminator import DiscriminatorBlock
from flaxgan.nn.style_synthesis import SynthesisBlock

TINY = {
    "image_shape": (8, 12, 3),
    "num_classes": 3,
    "z_dim": 6,
    "w_dim": 5,
    "mapping_layers": 2,
    "d_mapping_layers": 1,
    "mapping_lr_multiplier": 1.0,
    "channel_base": 32,
    "channel_max": 4,
}
Z = jax.random.normal(jax.random.key(0), (4, 6))
LABELS = jnp.array([0, 1, 2, 0])
KEY = jax.random.key(1)


@functools.cache
def _gan(**fields) -> types.Gan:
    return stylegan2.build(**{**TINY, **fields})


GENERATOR = _gan().generator


def _filled(shapes):
    """Variables of these shapes that are random, nowhere zero in expectation, and cost no compilation."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: (0.1 + rng.standard_normal(leaf.shape)).astype(np.float32), shapes)


@functools.cache
def _g_variables():
    return _filled(_abstract(_gan())[0])


@functools.cache
def _d_variables():
    return _filled(_abstract(_gan())[1])


@functools.partial(jax.jit, static_argnames=["generator", "noise_mode"])
def _generate(labels=LABELS, key=KEY, psi=1.0, *, generator=GENERATOR, noise_mode=None):
    """Images of the tiny generator; psi is traced."""
    options = {"truncation_psi": psi, "noise_mode": noise_mode, "rngs": {"noise": key}}
    return generator.apply(_g_variables(), Z, labels, **options)


def _abstract(gan: types.Gan, batch_size: int = 4):
    """Shapes of the variables of both networks, of the images and of the discriminator's output."""
    z = jax.ShapeDtypeStruct((batch_size, gan.z_dim), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
    images, g = jax.eval_shape(gan.generator.init_with_output, KEY, z, labels)
    output, d = jax.eval_shape(gan.discriminator.init_with_output, KEY, images, labels)
    return g, d, images, output


@pytest.mark.parametrize(
    ("fields", "g_count", "d_count"),
    [
        ({"image_shape": (1024, 1024, 3)}, 30_370_060, 29_012_513),
        ({"image_shape": (256, 256, 3), "channel_base": 16384}, 24_767_458, 24_001_089),
        ({"image_shape": (512, 512, 3)}, 30_276_583, 28_982_849),
        ({"image_shape": (32, 32, 3), "mapping_layers": 2, "d_architecture": "orig"}, 19_947_539, 20_720_641),
        (
            {"image_shape": (32, 32, 3), "mapping_layers": 2, "d_architecture": "orig", "num_classes": 10},
            20_215_315,
            23_089_664,
        ),
    ],
    ids=["stylegan2-f", "paper256", "paper512", "cifar", "cifar-conditional"],
)
def test_published_parameter_counts(fields, g_count, d_count):
    g, d, *_ = _abstract(stylegan2.build(**{"num_classes": 0, **fields}))
    count = lambda variables: sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert (count(g), count(d)) == (g_count, d_count)


@pytest.mark.parametrize("shape", [(64, 96, 3), (96, 64, 4), (40, 56, 1), (8, 8, 2), (24, 8, 3)])
@pytest.mark.parametrize(
    ("g_architecture", "d_architecture"), [("skip", "resnet"), ("resnet", "orig"), ("orig", "skip")]
)
def test_any_grid_and_number_of_channels(shape, g_architecture, d_architecture):
    gan = _gan(image_shape=shape, g_architecture=g_architecture, d_architecture=d_architecture, channel_base=256)
    g, d, images, output = _abstract(gan)
    assert (images.shape, images.dtype) == ((4, *shape), jnp.float32)
    assert (output.logits.shape, output.logits.dtype, output.features.shape) == ((4,), jnp.float32, (4, 4))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))


def test_odd_base_grid_runs():
    gan = _gan(image_shape=(10, 14, 1), num_classes=0)
    g, d, *_ = _abstract(gan)
    assert g["params"]["synthesis"]["b5"]["const"].shape == (5, 7, 4)
    images = jax.jit(gan.generator.apply)(_filled(g), Z, rngs={"noise": KEY})
    output = jax.jit(gan.discriminator.apply)(_filled(d), images)
    assert np.std(images) > 0 and np.all(np.isfinite(output.logits))


def test_gan_describes_its_networks():
    gan = _gan()
    assert (gan.z_dim, gan.image_shape, gan.num_classes) == (6, (8, 12, 3), 3)
    assert gan.has_style and gan.generator.num_ws == 4
    assert gan.d_layers == ("b8/fromrgb", "b8/conv0", "b8/conv1", "b8/skip")
    g, d = _g_variables(), _d_variables()
    assert set(g["params"]) == {"mapping", "synthesis"} and set(d["params"]) == {"b8", "b4", "mapping"}
    assert set(g["buffers"]["synthesis"]["b8"]["conv0"]) == {"noise_const"}
    for path in gan.d_layers:
        block, layer = path.split("/")
        assert "weight" in d["params"][block][layer]


def test_fields_reach_the_networks():
    g, d, *_ = _abstract(
        _gan(embed_features=7, layer_features=9, cmap_dim=11, use_noise=False, mbstd_num_channels=2, d_mapping_layers=3)
    )
    mapping = g["params"]["mapping"]
    assert [mapping[name]["weight"].shape for name in ("embed", "fc0", "fc1")] == [(3, 7), (13, 9), (9, 5)]
    assert "synthesis" not in g["buffers"]
    assert d["params"]["b4"]["out"]["weight"].shape == (4, 11) and "fc2" in d["params"]["mapping"]
    assert d["params"]["b4"]["conv"]["weight"].shape == (3, 3, 6, 4)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("image_shape", (65, 65, 3)),
        ("image_shape", (4, 4, 3)),
        ("num_classes", -1),
        ("z_dim", 0),
        ("w_dim", 0),
        ("mapping_layers", 0),
        ("d_mapping_layers", -1),
        ("embed_features", 0),
        ("layer_features", 0),
        ("cmap_dim", 0),
        ("mapping_lr_multiplier", 0.0),
        ("w_avg_beta", 1.5),
        ("channel_base", 4),
        ("channel_max", 0),
        ("g_architecture", "residual"),
        ("d_architecture", "residual"),
        ("activation", "gelu"),
        ("resample_filter", (1, -1)),
        ("resample_filter", ()),
        ("resample_filter", 3),
        ("remat", "true"),
        ("use_noise", None),
        ("conv_clamp", 0),
        ("noise_mode", "constant"),
        ("mbstd_group_size", 0),
        ("mbstd_num_channels", 3),
        ("mbstd_num_channels", -1),
        ("dtype", "float64"),
        ("low_precision_resolutions", -1),
    ],
)
def test_wrong_field_is_refused_by_name(field, found):
    with pytest.raises(ValueError, match=f"{field}: found .*, .*allowed: "):
        stylegan2.build(**{**TINY, field: found})


def test_float16_needs_a_clamp():
    with pytest.raises(ValueError, match="conv_clamp: found None, allowed: .* float16"):
        stylegan2.build(**TINY, dtype="float16")


def test_same_key_gives_the_same_images():
    np.testing.assert_array_equal(_generate(), _generate())
    assert np.max(np.abs(_generate() - _generate(key=jax.random.key(7)))) > 1e-3
    const = _generate(noise_mode="const")
    np.testing.assert_array_equal(const, _generate(key=jax.random.key(7), noise_mode="const"))
    assert np.max(np.abs(const - _generate(noise_mode="none"))) > 1e-3


def test_noise_mode_of_the_module_is_the_default_of_a_call():
    generator = _gan(noise_mode="const").generator
    np.testing.assert_array_equal(_generate(generator=generator), _generate(noise_mode="const"))


def test_labels_matter_to_both_networks():
    images = _generate()
    assert np.max(np.abs(_generate(labels=(LABELS + 1) % 3) - images)) > 1e-3
    score = jax.jit(lambda labels: _gan().discriminator.apply(_d_variables(), images, labels).logits)
    assert np.max(np.abs(score(LABELS) - score((LABELS + 1) % 3))) > 1e-3


def test_full_truncation_gives_the_image_of_the_average_style():
    ws = jnp.broadcast_to(_g_variables()["buffers"]["mapping"]["w_avg"], (4, 4, 5))
    synthesize = jax.jit(functools.partial(GENERATOR.apply, method="synthesize", noise_mode="const"))
    expected = synthesize(_g_variables(), ws)
    np.testing.assert_allclose(_generate(psi=0.0, noise_mode="const"), expected, rtol=1e-4, atol=1e-4)
    assert np.max(np.abs(_generate(psi=1.0, noise_mode="const") - expected)) > 1e-2


def test_training_moves_the_average_style():
    options = {"method": "map", "mutable": ["buffers"]}
    run = jax.jit(
        functools.partial(GENERATOR.apply, _g_variables(), Z, LABELS, **options),
        static_argnames=["train", "update_w_avg"],
    )
    before = _g_variables()["buffers"]["mapping"]["w_avg"]
    ws, updated = run(train=True)
    expected = before + 0.005 * (np.mean(ws[:, 0], axis=0) - before)
    np.testing.assert_allclose(updated["buffers"]["mapping"]["w_avg"], expected, rtol=1e-5)
    for arguments in ({}, {"train": True, "update_w_avg": False}):
        np.testing.assert_array_equal(run(**arguments)[1]["buffers"]["mapping"]["w_avg"], before)


def test_training_call_moves_nothing_but_the_average_style():
    options = {"train": True, "mutable": ["buffers"], "noise_mode": "none"}
    _, updated = jax.jit(lambda variables: GENERATOR.apply(variables, Z, LABELS, **options))(_g_variables())
    before = _g_variables()["buffers"]
    chex.assert_trees_all_equal(updated["buffers"]["synthesis"], before["synthesis"])
    assert np.all(updated["buffers"]["mapping"]["w_avg"] != before["mapping"]["w_avg"])


def test_every_parameter_has_a_gradient_and_remat_changes_none():
    """One loss through both networks, with random noise; recomputed blocks draw the same noise."""

    def gradients(gan):
        def loss(g_params, d_variables):
            g_variables = {**_g_variables(), "params": g_params}
            images = gan.generator.apply(g_variables, Z, LABELS, rngs={"noise": KEY})
            return jnp.sum(gan.discriminator.apply(d_variables, images, LABELS).logits ** 2)

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(_g_variables()["params"], _d_variables())

    plain, recomputed = gradients(_gan()), gradients(_gan(remat=True))
    assert all(np.all(np.isfinite(leaf)) and np.any(leaf) for leaf in jax.tree.leaves(plain))
    assert jax.tree.structure(plain) == jax.tree.structure(recomputed)
    for leaf, other in zip(jax.tree.leaves(plain), jax.tree.leaves(recomputed)):
        np.testing.assert_allclose(leaf, other, rtol=1e-4, atol=1e-5 * np.max(np.abs(leaf)))


def test_remat_really_recomputes():
    trace = lambda gan: str(
        jax.make_jaxpr(lambda v: gan.generator.apply(v, Z, LABELS, rngs={"noise": KEY}))(_g_variables())
    )
    assert "checkpoint" in trace(_gan(remat=True)) or "remat" in trace(_gan(remat=True))
    assert "checkpoint" not in trace(_gan()) and "remat" not in trace(_gan())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_is_close_and_ends_in_float32(dtype):
    gan = _gan(dtype=dtype, conv_clamp=256.0)
    images = _generate(generator=gan.generator, noise_mode="const")
    expected = _generate(noise_mode="const")
    logits = lambda gan: jax.jit(gan.discriminator.apply)(_d_variables(), expected, LABELS).logits
    assert images.dtype == logits(gan).dtype == jnp.float32
    assert np.max(np.abs(images - expected)) < 0.05 * np.max(np.abs(expected))
    assert np.max(np.abs(logits(gan) - logits(_gan()))) < 0.05 * np.max(np.abs(logits(_gan())))
    assert not np.array_equal(images, expected)


@pytest.mark.parametrize(("count", "low"), [(0, set()), (1, {"b32"}), (2, {"b32", "b16"}), (9, {"b32", "b16", "b8"})])
def test_low_precision_is_that_of_the_highest_resolutions(count, low):
    gan = _gan(image_shape=(32, 32, 3), dtype="bfloat16", low_precision_resolutions=count)
    capture = lambda module, method: isinstance(module, SynthesisBlock | DiscriminatorBlock) and method == "__call__"
    options = {"capture_intermediates": capture, "mutable": ["intermediates"]}
    g, d, images, _ = _abstract(gan)
    _, g_captured = jax.eval_shape(lambda v: gan.generator.apply(v, Z, LABELS, noise_mode="const", **options), g)
    _, d_captured = jax.eval_shape(lambda v, x: gan.discriminator.apply(v, x, LABELS, **options), d, images)
    for blocks in (g_captured["intermediates"]["synthesis"], d_captured["intermediates"]):
        found = {name for name, node in blocks.items() if node["__call__"][0][0].dtype == jnp.bfloat16}
        assert found == low


def test_float64_parameters_compute_in_float64():
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), tree)
        g, d, images, _ = map(double, _abstract(_gan()))
        z = double(Z)
        generate = lambda g, z: GENERATOR.apply(g, z, LABELS, rngs={"noise": KEY})
        assert jax.eval_shape(generate, g, z).dtype == jnp.float64
        score = lambda d, images: _gan().discriminator.apply(d, images, LABELS).logits
        assert jax.eval_shape(score, d, images).dtype == jnp.float64


def test_networks_can_be_vmapped():
    ws = jax.random.normal(KEY, (2, 3, 4, 5))
    synthesize = lambda ws: GENERATOR.apply(_g_variables(), ws, method="synthesize", noise_mode="const")
    images = jax.jit(jax.vmap(synthesize))(ws)
    np.testing.assert_allclose(images[1], jax.jit(synthesize)(ws[1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_networks_lower_for_accelerators(platform, dtype):
    gan = _gan(dtype=dtype, remat=True)
    g, d, images, _ = _abstract(gan)
    generate = lambda v, z: gan.generator.apply(v, z, LABELS, train=True, mutable=["buffers"], rngs={"noise": KEY})
    score = lambda v, images: gan.discriminator.apply(v, images, LABELS)
    for function, arguments in ((generate, (g, Z)), (score, (d, images))):
        lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,))
        assert "stablehlo.convolution" in lowered.as_text()
