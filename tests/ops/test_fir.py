"""Which filters are separable; the filtering itself is tested with upfirdn."""

import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.ops.fir import filter_shape, separate
from flaxgan.ops.upfirdn import setup_filter


@pytest.mark.parametrize(
    "f",
    [
        setup_filter([1, 3, 3, 1]),
        setup_filter([1, 4, 2, 1], gain=4),
        setup_filter(np.arange(1.0, 8.0)),
        np.outer([1.0, -2.0, 3.0], [0.1, 0.7]),
        np.arange(1, 10, dtype=np.float32),
    ],
)
def test_separable_filters(f):
    vertical, horizontal = separate(f, 3.0)
    whole = np.outer(f, f) if f.ndim == 1 else f
    np.testing.assert_allclose(np.outer(vertical, horizontal), 3 * whole.astype(np.float64), rtol=1e-6)


def test_the_usual_filter_has_exact_taps():
    taps = [0.125, 0.375, 0.375, 0.125]
    assert separate(setup_filter([1, 3, 3, 1]), 1.0) == (taps, taps)


def test_none_is_the_identity():
    assert separate(None, 2.0) == ([2.0], [1.0])


@pytest.mark.parametrize(
    "f",
    [
        np.eye(3),
        np.zeros((2, 2)),
        np.outer([1, -1], [1, 2]).astype(np.float32),  # Separable, but its rows cancel: left to the other form.
        np.outer([1, 3, 3, 1], [1, 3, 3, 1]) + 1e-6 * np.eye(4),
        jnp.ones((3, 3)),  # Might be traced.
    ],
)
def test_other_filters(f):
    assert separate(f, 1.0) is None


@pytest.mark.parametrize(("f", "shape"), [(None, (1, 1)), (np.ones(5), (5, 5)), (np.ones((2, 3)), (2, 3))])
def test_filter_shape(f, shape):
    assert filter_shape(f) == shape


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 2, 3)])
def test_what_is_no_filter(shape):
    with pytest.raises(ValueError, match="^f: found"):
        filter_shape(np.ones(shape))
