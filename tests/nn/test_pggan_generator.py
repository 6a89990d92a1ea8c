"""PGGAN's generator; the formulas of its layers are checked by tests/parity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from growing_networks import filled, only, run

from flaxgan.nn.pggan_generator import GrowingGenerator, PixelNorm
from flaxgan.ops.resampling import nearest_upsample

NETWORK = GrowingGenerator((16, 24, 3), channel_base=64, channel_max=6, num_classes=3)
Z = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
LABELS = jnp.array([0, 2, 1, 1])


@functools.cache
def _variables():
    return filled(NETWORK, Z, LABELS)


def _at_stage(stage):
    """A method that takes alpha as its last argument, to be traced."""
    return lambda module, z, labels, alpha: module(z, labels, stage=stage, alpha=alpha)


def test_initialization_makes_the_layers_of_all_stages():
    params = _variables()["params"]
    assert set(_variables()) == {"params"}
    assert set(params) == {"b16", "b8", "b4", "torgb16", "torgb8", "torgb4"}
    assert params["b4"]["fc"]["weight"].shape == (8, 4 * 6 * 6) and params["b4"]["fc_bias"].shape == (6,)
    assert params["b16"]["conv0"]["weight"].shape == (3, 3, 6, 4)


def test_a_new_block_of_weight_0_is_the_enlarged_stage_before():
    for stage, names in ((1, ("b4", "torgb4")), (2, ("b4", "b8", "torgb8"))):
        high = run(NETWORK, _variables(), Z, LABELS, jnp.zeros(()), method=_at_stage(stage))
        low = run(NETWORK, only(_variables(), *names), Z, LABELS, stage=stage - 1)  # Needs no other layers.
        assert low.shape == (4, 2 ** (stage + 1), 3 * 2**stage, 3)
        np.testing.assert_allclose(high, nearest_upsample(low), rtol=1e-4, atol=1e-5)


def test_a_new_block_of_weight_1_is_alone_and_half_is_between():
    alone = run(NETWORK, only(_variables(), "b16", "b8", "b4", "torgb16"), Z, LABELS)
    old, half, new = (run(NETWORK, _variables(), Z, LABELS, jnp.float32(a), method=_at_stage(2)) for a in (0, 0.5, 1))
    np.testing.assert_allclose(new, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(half, (old + new) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"remat": True}, {"dtype": "bfloat16"}, {"output": "tanh"}])
def test_variants(options):
    expected = run(NETWORK, _variables(), Z, LABELS)
    found = run(NETWORK.clone(**options), _variables(), Z, LABELS)
    assert found.dtype == jnp.float32
    expected = np.tanh(expected) if "output" in options else expected
    tolerance = 0.1 if "dtype" in options else 1e-5
    np.testing.assert_allclose(found, expected, atol=tolerance * np.max(np.abs(expected)))


def test_length_of_the_latents_plays_no_part_unless_asked_for():
    network = NETWORK.clone(num_classes=0)
    variables = filled(network, Z)
    first, scaled = (run(network, variables, z, stage=0) for z in (Z, 3 * Z))
    np.testing.assert_allclose(first, scaled, rtol=1e-3, atol=1e-4)
    plain = network.clone(normalize_latents=False)
    assert np.max(np.abs(run(plain, variables, Z, stage=0) - run(plain, variables, 3 * Z, stage=0))) > 1e-2


def test_normalizations_of_a_pixel():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 6)).astype(np.float32)
    pixel = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(PixelNorm()(jnp.asarray(x)), pixel, rtol=1e-5)
    np.testing.assert_allclose(PixelNorm("local_response")(jnp.asarray(x)), pixel, rtol=1e-5)
    local = PixelNorm("local_response", size=3, scale=2.0, exponent=0.75, epsilon=1.0)(jnp.asarray(x))
    squares = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (1, 1)))
    sums = squares[..., :-2] + squares[..., 1:-1] + squares[..., 2:]
    np.testing.assert_allclose(local, x / (1 + 2 / 3 * sums) ** 0.75, rtol=1e-5)
    np.testing.assert_array_equal(PixelNorm("none")(jnp.asarray(x)), x)
    with pytest.raises(ValueError, match="kind: found 'batch', allowed: pixel, local_response, none"):
        PixelNorm("batch")(jnp.asarray(x))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="stage: found 3"):
        jax.eval_shape(functools.partial(NETWORK.apply, stage=3), _variables(), Z, LABELS)
    with pytest.raises(ValueError, match="labels: found None"):
        jax.eval_shape(NETWORK.apply, _variables(), Z)
    with pytest.raises(ValueError, match="output: found 'sigmoid', allowed: linear, tanh"):
        jax.eval_shape(NETWORK.clone(output="sigmoid").init, jax.random.key(0), Z, LABELS)
