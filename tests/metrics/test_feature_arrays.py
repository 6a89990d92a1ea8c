import numpy as np
import pytest

from flaxgan.metrics.feature_arrays import feature_matrix, feature_pair


def test_any_real_type_becomes_float64():
    for dtype in (np.float16, np.float32, np.int32, np.uint8):
        features = feature_matrix(np.ones((3, 2), dtype), name="x")
        assert features.dtype == np.float64 and features.shape == (3, 2)
    assert feature_matrix(np.ones((3, 2), np.float16), name="x", dtype=None).dtype == np.float16


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 0), (2, 2, 2)])
def test_other_shapes_are_refused_with_the_callers_name(shape):
    with pytest.raises(ValueError, match="gallery: found shape .*allowed: "):
        feature_matrix(np.zeros(shape), name="gallery")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_are_refused(value):
    with pytest.raises(ValueError, match="fake_features: found non-finite values"):
        feature_pair(np.zeros((2, 3)), np.full((2, 3), value))


def test_complex_numbers_are_refused():
    with pytest.raises(ValueError, match="x: found dtype complex128"):
        feature_matrix(np.zeros((2, 3), complex), name="x")


def test_different_widths_are_refused():
    with pytest.raises(ValueError, match="fake_features: found width 4, allowed: 3, the width of real_features"):
        feature_pair(np.zeros((2, 3)), np.zeros((2, 4)))
