"""DCGAN, ResNet GAN and SELF-MOD alike: shapes of any image, modes, gradients, labels, precision, refused fields."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program

from flaxgan.networks import dcgan, resnet, selfmod
from flaxgan.nn.generator_norm import NORMS

WIDTHS = {"z_dim": 5, "g_channels": 2, "g_channels_max": 4, "d_channels": 2, "d_channels_max": 4}
FAMILIES = {
    "dcgan": functools.partial(dcgan.build, **WIDTHS),
    "sndcgan": functools.partial(dcgan.build, **WIDTHS, architecture="sndcgan", use_bias=True, d_spectral=True),
    "resnet": functools.partial(resnet.build, **WIDTHS),
    "selfmod_dcgan": functools.partial(selfmod.build, **WIDTHS),
    "selfmod_resnet": functools.partial(selfmod.build, **WIDTHS, base="resnet"),
}
EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES)
KEY = jax.random.key(0)
Z = jax.random.normal(jax.random.key(1), (3, 5))
LABELS = jnp.array([0, 1, 0])


def _abstract(gan, labels=LABELS):
    """Shapes of the variables of both networks, of the images and of the discriminator's output."""
    z = jax.ShapeDtypeStruct((3, gan.z_dim), jnp.float32)
    images, g = jax.eval_shape(gan.generator.init_with_output, KEY, z, labels)
    output, d = jax.eval_shape(gan.discriminator.init_with_output, KEY, images, labels)
    return g, d, images, output


def _filled(shapes):
    """Random variables of these shapes; the state, which holds variances, is positive."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: (0.5 * rng.standard_normal(leaf.shape)).astype(np.float32)
    return {
        name: jax.tree.map(draw if name == "params" else lambda leaf: np.abs(draw(leaf)), tree)
        for name, tree in shapes.items()
    }


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 24, 3), (40, 56, 2)])
@EVERY_FAMILY
def test_any_grid_and_number_of_channels(family, shape):
    for num_classes in (0, 2):
        gan = FAMILIES[family](image_shape=shape, num_classes=num_classes)
        g, d, images, output = _abstract(gan)
        assert (images.shape, images.dtype) == ((3, *shape), jnp.float32)
        assert (output.logits.shape, output.logits.dtype, output.features.dtype) == ((3,), jnp.float32, jnp.float32)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))
        assert (gan.z_dim, gan.image_shape, gan.num_classes) == (5, shape, num_classes)
        for path in gan.d_layers:
            assert functools.reduce(lambda node, name: node[name], path.split("/"), d["params"])["kernel"].ndim == 4


@EVERY_FAMILY
def test_equal_fields_make_equal_networks(family):
    """So that a program is compiled once for them."""
    build = functools.partial(FAMILIES[family], image_shape=(8, 8, 1), num_classes=2)
    assert build() == build() != build(z_dim=6)
    assert hash(build().generator) == hash(build().generator)


@pytest.mark.parametrize("family", ["selfmod_resnet"])  # Compiling takes the time; tests/parity has the others.
def test_every_parameter_of_both_networks_has_a_gradient(family):
    """Through images, logits and, as by R1, the gradient of the logits; labels count in both networks."""
    gan = FAMILIES[family](image_shape=(8, 8, 1), num_classes=2)
    g, d = map(_filled, _abstract(gan)[:2])

    def loss(g_params, d_params):
        images, _ = gan.generator.apply({**g, "params": g_params}, Z, LABELS, train=True, mutable=["batch_stats"])

        def score(images):
            variables = {**d, "params": d_params}
            mutable = [name for name in d if name != "params"]
            output, _ = gan.discriminator.apply(variables, images, LABELS, train=True, mutable=mutable)
            return jnp.sum(output.logits * jnp.arange(1.0, 4.0))

        slopes = jax.grad(score)(images)
        return score(images) + jnp.sum(jnp.cos(slopes) * slopes)

    value, gradients = program(jax.value_and_grad(loss, argnums=(0, 1)))(g["params"], d["params"])
    assert np.isfinite(value)
    # A bias before a normalization of the batch has the gradient 0, but for what rounding leaves of it.
    before_norm = [path for path, leaf in jax.tree_util.tree_leaves_with_path(gradients) if not np.any(leaf)]
    assert all(path[-1].key == "bias" for path in before_norm)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("family", ["sndcgan", "selfmod_resnet"])
def test_modes_and_labels(family):
    """Evaluation changes no state; training changes it, and what it gives; labels change images and logits."""
    gan = FAMILIES[family](image_shape=(8, 8, 1), num_classes=2)
    g, d = map(_filled, _abstract(gan)[:2])

    def call(network, variables, x, labels, train):
        mutable = [name for name in variables if name != "params"]
        return network.apply(variables, x, labels, train=train, mutable=mutable)

    def everything(g, d):
        images, g_state = call(gan.generator, g, Z, LABELS, False)
        return {
            "images": images,
            "g_state": g_state,
            "trained": call(gan.generator, g, Z, 1 - LABELS, True),
            "other": call(gan.generator, g, Z, 1 - LABELS, False)[0],
            "output": call(gan.discriminator, d, images, LABELS, False),
            "d_trained": call(gan.discriminator, d, images, 1 - LABELS, True),
            "d_other": call(gan.discriminator, d, images, 1 - LABELS, False)[0],
        }

    found = program(everything)(g, d)
    state = lambda variables: {name: tree for name, tree in variables.items() if name != "params"}
    chex.assert_trees_all_equal(found["g_state"], state(g))
    chex.assert_trees_all_equal(found["output"][1], state(d))
    for trained, before in ((found["trained"][1], state(g)), (found["d_trained"][1], state(d))):
        assert all(jax.tree.leaves(jax.tree.map(lambda new, old: bool(np.any(new != old)), trained, before)))
    assert not np.allclose(found["trained"][0], found["other"])
    assert np.all(np.max(np.abs(found["other"] - found["images"]), axis=(1, 2, 3)) > 1e-5)
    assert np.all(np.abs(found["d_other"].logits - found["output"][0].logits) > 1e-5)
    assert np.max(np.abs(found["images"])) <= 1


@EVERY_FAMILY
def test_low_precision_ends_in_float32_and_double_stays_double(family):
    low = _abstract(FAMILIES[family](image_shape=(8, 8, 1), num_classes=2, dtype="bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(low)} == {jnp.dtype("float32")}
    gan = FAMILIES[family](image_shape=(8, 8, 1), num_classes=2)
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), tree)
        g, d, images, _ = map(double, _abstract(gan))
        assert jax.eval_shape(gan.generator.apply, g, double(Z), LABELS).dtype == jnp.float64
        assert jax.eval_shape(gan.discriminator.apply, d, images, LABELS).logits.dtype == jnp.float64


def test_low_precision_is_close():
    build = functools.partial(FAMILIES["resnet"], image_shape=(8, 8, 1), num_classes=0)
    g = _filled(_abstract(build())[0])
    low, full = program(lambda g: [build(dtype=d).generator.apply(g, Z) for d in ("bfloat16", "float32")])(g)
    assert 0 < np.max(np.abs(low - full)) < 0.05


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("family", ["dcgan", "sndcgan", "resnet"])
def test_any_normalization_of_the_generator(family, norm):
    """With classes exactly those that depend on them; they own what they should."""
    owned = {
        "batch": {"scale", "bias"},
        "conditional": {"embedding"},
        "self_modulated": {"kernel", "bias"},
        "layer": {"scale", "bias"},
        "instance": {"scale", "bias"},
        "none": set(),
    }
    for num_classes in (0, 2):
        build = functools.partial(FAMILIES[family], image_shape=(16, 16, 1), num_classes=num_classes, g_norm=norm)
        fits = norm == "self_modulated" or (norm == "conditional") == (num_classes > 0)
        if not fits:
            with pytest.raises(ValueError, match=f"^g_norm: found '{norm}', allowed: "):
                build()
            continue
        g = _abstract(build())[0]
        block = g["params"].get("block1", g["params"])
        leaves = jax.tree_util.tree_leaves_with_path(block.get("norm1", {}))
        assert {path[-1].key for path, _ in leaves} == owned[norm]
        assert ("batch_stats" in g) == (norm in ("batch", "conditional", "self_modulated"))
        assert ("latent" in g["params"]) == (norm == "self_modulated" and num_classes > 0)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "instance"])
@EVERY_FAMILY
def test_any_normalization_of_the_discriminator(family, norm):
    d = _abstract(FAMILIES[family](image_shape=(16, 16, 1), num_classes=0, d_norm=norm))[1]
    scales = [path for path, _ in jax.tree_util.tree_leaves_with_path(d["params"]) if path[-1].key == "scale"]
    assert bool(scales) == (norm != "none") and ("batch_stats" in d) == (norm == "batch")


@EVERY_FAMILY
def test_spectral_normalization_of_either_network(family):
    for g_spectral, d_spectral in ((True, False), (False, True)):
        fields = {"g_spectral": g_spectral, "d_spectral": d_spectral, "image_shape": (8, 8, 1), "num_classes": 0}
        for variables, spectral in zip(_abstract(FAMILIES[family](**fields)), (g_spectral, d_spectral)):
            kernels = [p for p, _ in jax.tree_util.tree_leaves_with_path(variables["params"]) if p[-1].key == "kernel"]
            vectors = jax.tree.leaves(variables.get("spectral", {}))
            assert len(vectors) == (2 * len(kernels) if spectral else 0)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"image_shape": (8, 8)}, "image_shape"),
        ({"image_shape": (8, 7, 1)}, "image_shape"),
        ({"image_shape": (4, 4, 1)}, "image_shape"),
        ({"num_classes": -1}, "num_classes"),
        ({"z_dim": 0}, "z_dim"),
        ({"g_channels": 0}, "g_channels"),
        ({"g_channels_max": 0}, "g_channels_max"),
        ({"d_channels": 0}, "d_channels"),
        ({"d_channels_max": 0}, "d_channels_max"),
        ({"d_norm": "self_modulated"}, "d_norm"),
        ({"g_spectral": 1}, "g_spectral"),
        ({"d_spectral": None}, "d_spectral"),
        ({"projection": True}, "projection"),
        ({"projection": 1, "num_classes": 2}, "projection"),
        ({"pooling": "max"}, "pooling"),
        ({"spectral_eps": 0}, "spectral_eps"),
        ({"norm_eps": 0}, "norm_eps"),
        ({"norm_momentum": 2}, "norm_momentum"),
        ({"hidden": 0}, "hidden"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
@EVERY_FAMILY
def test_wrong_field_is_refused_by_name(family, fields, field):
    with pytest.raises(ValueError, match=f"^{field}: found .*, allowed: "):
        FAMILIES[family](**{"image_shape": (8, 8, 1), "num_classes": 0, **fields})


@EVERY_FAMILY
def test_images_of_another_shape_are_refused(family):
    gan = FAMILIES[family](image_shape=(8, 8, 1), num_classes=0)
    with pytest.raises(ValueError, match=r"^images: found shape \(3, 8, 16, 1\), allowed: \[N, 8, 8, 1\]"):
        jax.eval_shape(gan.discriminator.init, KEY, jnp.zeros((3, 8, 16, 1)))


@EVERY_FAMILY
def test_missing_labels_are_refused(family):
    gan = FAMILIES[family](image_shape=(8, 8, 1), num_classes=2)
    for network, x in ((gan.generator, Z), (gan.discriminator, jnp.zeros((3, 8, 8, 1)))):
        with pytest.raises(ValueError, match="^labels: found None"):
            jax.eval_shape(network.init, KEY, x)
