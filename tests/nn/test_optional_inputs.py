"""Inputs that a module requires under its settings."""

import pytest

from flaxgan.errors import FieldError
from flaxgan.nn.optional_inputs import given


def test_a_value_is_returned_and_none_raises():
    assert given("x", 0, "a number") == 0
    with pytest.raises(FieldError, match="^x: found None, allowed: a number$"):
        given("x", None, "a number")
