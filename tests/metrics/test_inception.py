"""Inception-v3 without its numbers, which tests/parity compares: sizes, conventions, pools and refusals."""

import collections
import json

import goldens
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.convert.detectors import detector_params
from flaxgan.metrics import inception
from flaxgan.metrics.inception_shapes import weight_shapes


def _shapes_of_params():
    """The parameter tree, as shapes and types."""
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in weight_shapes().items()}
    tree = detector_params(arrays, shapes=weight_shapes())
    return jax.tree.map(lambda weight: jax.ShapeDtypeStruct(weight.shape, weight.dtype), tree)


def test_parameter_counts_are_the_published_ones():
    counts = json.loads((goldens.FOLDER / "families" / "param_counts.json").read_text())
    published = counts["FID InceptionV3 (1008 classes, no aux)"]
    sizes = {name: int(np.prod(shape)) for name, shape in weight_shapes().items()}
    learned = {name: size for name, size in sizes.items() if not name.endswith(("running_mean", "running_var"))}
    by_module = collections.Counter()
    for name, size in learned.items():
        by_module[name.partition(".")[0]] += size
    assert sum(learned.values()) == published["total"] == 23_850_960
    assert len(learned) == published["n_tensors"]
    assert dict(by_module) == published["by_top_module"]
    batch_norms = sum(name.endswith("running_mean") for name in sizes)  # Each of them counts its batches, too.
    assert sum(sizes.values()) - sum(learned.values()) + batch_norms == published["buffers"]


def test_every_layer_has_the_size_of_the_paper():
    x = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
    layers = jax.eval_shape(inception.inception_activations, _shapes_of_params(), x)
    sides = {name: layer.shape[1:] for name, layer in layers.items()}
    assert sides["Conv2d_1a_3x3"] == (149, 149, 32) and sides["Conv2d_2b_3x3"] == (147, 147, 64)
    assert sides["max_pool_1"] == (73, 73, 64) and sides["max_pool_2"] == (35, 35, 192)
    assert sides["Mixed_5d"] == (35, 35, 288) and sides["Mixed_6e"] == (17, 17, 768)
    assert sides["Mixed_7a"] == (8, 8, 1280) and sides["Mixed_7c"] == (8, 8, 2048)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_output_has_the_type_of_the_weights(dtype):
    images = jax.ShapeDtypeStruct((2, 32, 24, 3), dtype)
    run = lambda params, images: inception.inception_output(params, images, convention="tf1")
    output = jax.eval_shape(run, _shapes_of_params(), images)
    assert [part.shape for part in output] == [(2, 2048), (2, 1008), (1008,)]
    assert {part.dtype for part in output} == {jnp.dtype("float32")}


@pytest.mark.parametrize(("convention", "ends"), [("tf1", (-1, 127 / 128)), ("pytorch_fid", (-1, 1))])
def test_black_and_white_are_the_ends_of_the_range(convention, ends):
    for value, expected in zip((0, 255), ends):
        x = inception.inception_input(jnp.full((1, 20, 30, 3), value, jnp.float32), convention=convention)
        assert x.shape == (1, 299, 299, 3)
        np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_the_conventions_differ_in_where_pixels_lie():
    ramp = jnp.broadcast_to(jnp.arange(0, 250, 50.0)[None, None, :, None], (1, 4, 5, 3))
    rows = {name: inception.inception_input(ramp, convention=name)[0, 0, :, 0] for name in inception.CONVENTIONS}
    assert rows["tf1"][0] == -1 and rows["tf1"][1] > -1  # The first pixel is at the border.
    np.testing.assert_array_equal(rows["pytorch_fid"][:29], -1)  # It is half a pixel inside.


@pytest.mark.parametrize(
    ("shape", "convention", "name"),
    [
        ((1, 8, 8, 1), "tf1", "images"),
        ((8, 8, 3), "tf1", "images"),
        ((1, 8, 8, 3), "torch", "convention"),
    ],
)
def test_refuses(shape, convention, name):
    with pytest.raises(ValueError, match=f"^{name}: found"):
        inception.inception_input(jnp.zeros(shape), convention=convention)
