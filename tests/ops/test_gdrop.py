import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.ops.gdrop import generalized_dropout


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 2)])
def test_one_factor_for_each_sample_and_channel(shape):
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=shape), rng.normal(size=(3, 2))
    expected = np.stack(
        [np.stack([x[n, ..., c] * (1 + noise[n, c] * 0.3 * np.sqrt(2)) for c in range(2)], axis=-1) for n in range(3)]
    )
    np.testing.assert_allclose(generalized_dropout(jnp.asarray(x), jnp.asarray(noise), 0.3), expected, rtol=1e-5)


def test_half_precision_stays_and_no_strength_changes_nothing():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 4)), jnp.bfloat16)
    y = generalized_dropout(x, jnp.ones((2, 4)), jnp.zeros(()))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, x)


def test_noise_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"noise: found shape \(2, 3\), allowed: \(2, 4\)"):
        generalized_dropout(jnp.zeros((2, 3, 4)), jnp.zeros((2, 3)), 0.1)
