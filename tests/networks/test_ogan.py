"""O-GAN: networks against a slow NumPy reference, and what build() takes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan import types
from flaxgan.losses import adversarial
from flaxgan.networks import ogan

TINY = {"image_shape": (8, 12, 3), "num_classes": 0, "z_dim": 6, "channels": 4}
DEEP = {**TINY, "image_shape": (16, 16, 1), "g_norm": "self_modulated", "hidden": 5, "kernel_size": 4}
KEY = jax.random.key(0)
Z = jax.random.normal(jax.random.key(1), (5, 6))


@functools.cache
def _abstract(**fields) -> tuple[types.Gan, dict, dict, jax.ShapeDtypeStruct, types.DiscriminatorOutput]:
    """The networks, the shapes of both networks' variables, of the images and of the discriminator's output."""
    gan = ogan.build(**fields)
    images, g = jax.eval_shape(gan.generator.init_with_output, KEY, jnp.zeros((5, gan.z_dim)))
    output, d = jax.eval_shape(gan.discriminator.init_with_output, KEY, images)
    return gan, g, d, images, output


def _filled(shapes):
    """Variables of these shapes that are random and positive on average, as variances are."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: (0.3 * rng.standard_normal(leaf.shape)).astype(np.float32)
    positive = lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    return {name: jax.tree.map(positive if name == "batch_stats" else draw, tree) for name, tree in shapes.items()}


def _batch_norm(x, params, stats, eps=1e-3):
    return (x - stats["mean"]) / np.sqrt(stats["var"] + eps) * params["scale"] + params["bias"]


def _doubling(x, kernel, bias):
    """Each pixel adds its product with the kernel to the doubled image, from one pixel before its place on."""
    size, features = kernel.shape[0], kernel.shape[-1]
    count, height, width, _ = x.shape
    y = np.zeros((count, 2 * height + 2 + size, 2 * width + 2 + size, features))
    for i in range(height):
        for j in range(width):
            y[:, 2 * i : 2 * i + size, 2 * j : 2 * j + size] += np.einsum("ni,hwio->nhwo", x[:, i, j], kernel)
    start = (size - 2) // 2
    return y[:, start : start + 2 * height, start : start + 2 * width] + bias


def _halving(x, kernel, bias):
    """Windows at every second pixel; of the zeros around the image an odd one is at its end."""
    size = kernel.shape[0]
    before = (size - 2) // 2
    padded = np.pad(x, ((0, 0), (before, size), (before, size), (0, 0)))
    rows = [
        [np.einsum("nhwi,hwio->no", padded[:, i : i + size, j : j + size], kernel) for j in range(0, x.shape[2], 2)]
        for i in range(0, x.shape[1], 2)
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1) + bias


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_both_networks_against_numpy(kernel_size):
    """The shapes and the order of layers are those of the official code; here with one doubling."""
    gan, g, d, *_ = _abstract(**TINY, kernel_size=kernel_size)
    g, d = _filled(g), _filled(d)
    images = jax.jit(gan.generator.apply)(g, Z)
    output = jax.jit(gan.discriminator.apply)(d, images)

    params = g["params"]
    x = (np.asarray(Z) @ params["base"]["kernel"] + params["base"]["bias"]).reshape(5, 4, 6, 4)
    x = np.maximum(_batch_norm(x, params["norm0"]["norm"], g["batch_stats"]["norm0"]["norm"]), 0)
    expected = np.tanh(_doubling(x, **params["output"]))
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-5)

    params = d["params"]
    x = _halving(np.asarray(images), **params["conv1"])
    x = np.where(x > 0, x, 0.2 * x).reshape(5, -1)
    expected = x @ params["features"]["kernel"] + params["features"]["bias"]
    np.testing.assert_allclose(output.features, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.logits, -expected.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_loss_of_the_logits_is_that_of_the_article():
    """t1 = mean E(real) - mean E(fake) for the encoder, mean E(fake) for the generator."""
    real, fake = np.random.default_rng(1).standard_normal((2, 5, 6))
    d_loss, g_loss = adversarial.wasserstein(-jnp.mean(real, axis=1), -jnp.mean(fake, axis=1))
    np.testing.assert_allclose(d_loss, real.mean(axis=1) - fake.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(g_loss, fake.mean(axis=1), rtol=1e-5)


def test_sizes_of_the_official_code():
    """Layers 64 to 1024 channels wide at 128x128, counted from the code: convolutions, normalizations, dense layer."""
    conv = lambda inputs, outputs, size: inputs * outputs * size**2 + outputs
    widths = (3, 64, 128, 256, 512, 1024)
    dense = 128 * 16 * 1024
    expected = []
    for size in (5, 4):
        convolutions = sum(conv(*pair, size) for pair in zip(widths, widths[1:]))
        transposed = sum(conv(*pair, size) for pair in zip(widths[:0:-1], widths[-2::-1]))
        expected.append((dense + 16 * 1024 + transposed, convolutions + 2 * sum(widths[2:]) + dense + 128))
    # Two networks of 128 hidden units for every normalization's gain and offset.
    modulation = sum(2 * (128 * 128 + 128 + 128 * width + width) for width in widths[1:])
    batch_norm = 2 * sum(widths[1:])

    found = []
    plain = {"image_shape": (128, 128, 3), "num_classes": 0}
    self_modulated = {"kernel_size": 4, "g_norm": "self_modulated", "hidden": 128, "shared_hidden": False}
    for fields in (plain, {**plain, **self_modulated}):
        _, g, d, images, output = _abstract(**fields)
        assert images.shape == (5, 128, 128, 3) and output.features.shape == (5, 128)
        found.append(tuple(sum(leaf.size for leaf in jax.tree.leaves(tree["params"])) for tree in (g, d)))
    assert found[0] == (expected[0][0] + batch_norm, expected[0][1]) == (19_531_267, 19_515_904)
    assert found[1] == (expected[1][0] + modulation, expected[1][1])


def test_gan_describes_its_networks():
    gan, g, d, images, output = _abstract(**DEEP, channels_max=6)
    assert gan.encodes and not gan.has_style and not gan.stages
    assert (gan.z_dim, gan.image_shape, gan.num_classes) == (6, (16, 16, 1), 0)
    assert (images.shape, output.features.shape, output.logits.shape) == ((5, 16, 16, 1), (5, 6), (5,))
    assert gan.d_layers == ("conv1", "conv2", "features")
    assert set(d["params"]) == {*gan.d_layers, "norm2"} and set(d["batch_stats"]) == {"norm2"}
    assert d["params"]["conv2"]["kernel"].shape == (4, 4, 4, 6)
    assert g["params"]["deconv1"]["kernel"].shape == (4, 4, 6, 4)
    norm = g["params"]["norm1"]["norm"]
    assert set(norm) == {"hidden", "gamma", "beta"} and norm["gamma"]["kernel"].shape == (5, 4)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((g, d)))


@pytest.mark.parametrize("shape", [(64, 96, 3), (40, 56, 1), (8, 8, 2), (24, 8, 4)])
@pytest.mark.parametrize("kernel_size", [4, 5])
def test_any_grid_and_number_of_channels(shape, kernel_size):
    *_, images, output = _abstract(**{**TINY, "image_shape": shape}, kernel_size=kernel_size)
    assert (images.shape, output.features.shape) == ((5, *shape), (5, 6))


@pytest.mark.parametrize("g_norm", ["batch", "self_modulated", "layer", "instance", "none"])
def test_generator_takes_every_normalization(g_norm):
    _, g, *_ = _abstract(**TINY, g_norm=g_norm)
    assert ("batch_stats" in g) == (g_norm in ("batch", "self_modulated"))
    assert ("norm0" in g["params"]) == (g_norm != "none")


def test_discriminator_without_normalization_has_no_statistics():
    _, _, d, *_ = _abstract(**{**DEEP, "d_norm": "none"})
    assert set(d) == {"params"} and set(d["params"]) == {"conv1", "conv2", "features"}


def test_training_normalizes_with_the_batch_and_moves_the_statistics_by_the_momentum():
    gan, g, d, *_ = _abstract(**DEEP, norm_momentum=0.25)
    g, d = _filled(g), _filled(d)
    train = lambda module: jax.jit(functools.partial(module.apply, train=True, mutable=["batch_stats"]))
    images, g_after = train(gan.generator)(g, Z)
    output, d_after = train(gan.discriminator)(d, images)
    assert np.max(np.abs(images - jax.jit(gan.generator.apply)(g, Z))) > 1e-2
    assert np.max(np.abs(output.logits - jax.jit(gan.discriminator.apply)(d, images).logits)) > 1e-2
    base = np.asarray(Z) @ g["params"]["base"]["kernel"] + g["params"]["base"]["bias"]
    mean = base.reshape(-1, 8).mean(axis=0)
    before, after = (tree["batch_stats"]["norm0"]["norm"]["mean"] for tree in (g, g_after))
    np.testing.assert_allclose(after, 0.75 * before + 0.25 * mean, rtol=1e-4, atol=1e-5)
    moved = jax.tree.map(
        lambda a, b: np.all(a != b),
        (g["batch_stats"], d["batch_stats"]),
        (g_after["batch_stats"], d_after["batch_stats"]),
    )
    assert all(jax.tree.leaves(moved))


def test_every_parameter_has_a_gradient_but_biases_in_front_of_a_normalization():
    gan, g, d, *_ = _abstract(**DEEP)
    g, d = _filled(g), _filled(d)

    def loss(g_params, d_params):
        options = {"train": True, "mutable": ["batch_stats"]}
        images, _ = gan.generator.apply({**g, "params": g_params}, Z, **options)
        output, _ = gan.discriminator.apply({**d, "params": d_params}, images, **options)
        return jnp.sum(output.features**2)

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(g["params"], d["params"])
    sizes = {jax.tree_util.keystr(path): np.max(np.abs(leaf)) for path, leaf in jax.tree.leaves_with_path(gradients)}
    assert all(np.isfinite(size) for size in sizes.values())
    zero = {"[0]['deconv1']['bias']", "[1]['conv2']['bias']"}
    scale = max(sizes.values())
    assert {name for name, size in sizes.items() if size < 1e-5 * scale} == zero


def test_low_precision_is_close_and_ends_in_float32():
    gan, g, d, *_ = _abstract(**DEEP)
    g, d = _filled(g), _filled(d)
    low = ogan.build(**DEEP, dtype="bfloat16")
    images, low_images = (jax.jit(one.generator.apply)(g, Z) for one in (gan, low))
    output, low_output = (jax.jit(one.discriminator.apply)(d, images) for one in (gan, low))
    for exact, rounded in ((images, low_images), (output.logits, low_output.logits), (output.features, low_output[1])):
        assert rounded.dtype == jnp.float32
        assert 0 < np.max(np.abs(rounded - exact)) < 0.05 * np.max(np.abs(exact))


def test_float64_parameters_compute_in_float64():
    with jax.enable_x64(True):
        gan, g, d, images, _ = _abstract(**DEEP)
        double = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), tree)
        assert jax.eval_shape(gan.generator.apply, double(g), double(Z)).dtype == jnp.float64
        assert jax.eval_shape(gan.discriminator.apply, double(d), double(images)).logits.dtype == jnp.float64


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("image_shape", (65, 65, 3)),
        ("num_classes", 10),
        ("z_dim", 1),
        ("channels", 0),
        ("channels_max", 0),
        ("kernel_size", 3),
        ("g_norm", "conditional"),
        ("hidden", 0),
        ("shared_hidden", None),
        ("d_norm", "self_modulated"),
        ("norm_eps", 0.0),
        ("norm_momentum", 1.5),
        ("dtype", "float64"),
    ],
)
def test_wrong_field_is_refused_by_name(field, found):
    with pytest.raises(ValueError, match=f"{field}: found .*, .*allowed: "):
        ogan.build(**{**TINY, field: found})
