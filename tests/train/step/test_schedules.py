import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.train.step import schedules


def test_rampup_is_gaussian_until_its_end():
    kimg = np.array([0.0, 10.0, 39.0, 40.0, 100.0])
    expected = [np.exp(-5), np.exp(-5 * 0.75**2), np.exp(-5 * (1 / 40) ** 2), 1, 1]
    np.testing.assert_allclose(schedules.rampup_factor(jnp.asarray(kimg), rampup_kimg=40), expected, rtol=1e-6)


def test_no_rampup_is_one_throughout():
    np.testing.assert_array_equal(schedules.rampup_factor(jnp.asarray([0, 5]), rampup_kimg=0), [1, 1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("none", [1, 1, 1, 1, 1]), ("linear", [1, 1, 0.75, 0, 0]), ("cosine", [1, 1, (1 + np.sqrt(0.5)) / 2, 0, 0])],
)
def test_decay_from_start_to_total(kind, expected):
    kimg = jnp.asarray([0.0, 20.0, 30.0, 60.0, 70.0])
    factor = schedules.decay(kind=kind, start_kimg=20, total_kimg=60)(kimg)
    np.testing.assert_allclose(factor, expected, atol=1e-6)


def test_the_images_seen_may_be_traced_and_whole_numbers():
    factor = lambda kimg: (
        schedules.rampup_factor(kimg, rampup_kimg=4) * schedules.decay(kind="linear", start_kimg=0, total_kimg=8)(kimg)
    )
    np.testing.assert_allclose(jax.jit(factor)(jnp.asarray(2)), np.exp(-5 / 4) * 0.75, rtol=1e-6)


def test_what_is_refused():
    with pytest.raises(ValueError, match="rampup_kimg: found -1, allowed: at least 0"):
        schedules.rampup_factor(0.0, rampup_kimg=-1)
    with pytest.raises(ValueError, match="kind: found 'step', allowed: none, linear, cosine"):
        schedules.decay(kind="step")
    with pytest.raises(ValueError, match="start_kimg: found 9, allowed: at least 0 and below total_kimg 9"):
        schedules.decay(kind="linear", start_kimg=9, total_kimg=9)
