"""Bilinear resizing against NumPy, one pixel at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import check_derivatives

from flaxgan.ops.resize import RULES, resize_bilinear


def _images(*shape):
    return np.random.default_rng(0).uniform(size=shape)


def _slow_line(line, new, rule):
    resized = []
    for place in range(new):
        position = (place + 0.5) * len(line) / new - 0.5 if rule == "half_pixel" else place * len(line) / new
        position = min(max(position, 0), len(line) - 1)
        lower = int(position)
        upper = min(lower + 1, len(line) - 1)
        resized.append(line[lower] + (position - lower) * (line[upper] - line[lower]))
    return np.array(resized)


def _slow(images, size, rule):
    rows = np.apply_along_axis(_slow_line, 1, images, size[0], rule)
    return np.apply_along_axis(_slow_line, 2, rows, size[1], rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(7, 11), (3, 2), (10, 6), (1, 1), (4, 13)])
def test_matches_the_definition(rule, size):
    images = _images(2, 5, 6, 3)
    with jax.enable_x64(True):
        resized = resize_bilinear(jnp.asarray(images), size, rule=rule)
    np.testing.assert_allclose(resized, _slow(images, size, rule), rtol=1e-12)


def test_the_rules_differ_in_where_pixels_lie():
    line = jnp.asarray([0.0, 1.0])[None, None, :, None]
    np.testing.assert_allclose(resize_bilinear(line, (1, 4), rule="half_pixel").ravel(), [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(resize_bilinear(line, (1, 4), rule="legacy").ravel(), [0, 0.5, 1, 1])


@pytest.mark.parametrize("rule", RULES)
def test_the_same_size_changes_nothing(rule):
    images = jnp.asarray(_images(1, 4, 3, 2), jnp.float32)
    np.testing.assert_array_equal(resize_bilinear(images, (4, 3), rule=rule), images)


def test_derivatives():
    check_derivatives(lambda x: resize_bilinear(x, (4, 3), rule="half_pixel") ** 2, _images(1, 3, 5, 1))


def test_half_precision_is_computed_in_float32():
    images = jnp.asarray(_images(1, 3, 3, 1) * 255, jnp.bfloat16)
    resized = resize_bilinear(images, (5, 5), rule="legacy")
    exact = resize_bilinear(images.astype(jnp.float32), (5, 5), rule="legacy")
    np.testing.assert_array_equal(resized, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    ("shape", "size", "rule", "name"),
    [
        ((4, 4, 3), (2, 2), "legacy", "images"),
        ((1, 0, 4, 3), (2, 2), "legacy", "images"),
        ((1, 4, 4, 3), (2, 0), "legacy", "size"),
        ((1, 4, 4, 3), (2,), "legacy", "size"),
        ((1, 4, 4, 3), (2, 2), "align_corners", "rule"),
    ],
)
def test_refuses(shape, size, rule, name):
    with pytest.raises(ValueError, match=f"^{name}: found"):
        resize_bilinear(jnp.zeros(shape), size, rule=rule)
