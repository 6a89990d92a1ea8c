"""Checks of build() arguments."""

import pytest

from flaxgan.networks import _checks as checks


def test_allowed_values_pass():
    checks.require(True, "field", 1, "anything")
    checks.require_one_of(["a", "b"], first="a", second="b")
    checks.require_integers(1, first=1, second=2)
    checks.require_optional_integers(1, first=None, second=1)
    checks.require_odd(first=1, second=3)
    checks.require_positive(first=0.5, second=2)
    checks.require_shares(first=0, second=1.0)
    checks.require_booleans(first=True, second=False)


@pytest.mark.parametrize("found", [0, 1.0, True, "1", None])
def test_integers_name_the_field(found):
    with pytest.raises(ValueError, match=f"second: found {found!r}, allowed: an integer of at least 1"):
        checks.require_integers(1, first=1, second=found)


@pytest.mark.parametrize("found", [0, 1.0, False])
def test_optional_integers_name_the_field(found):
    with pytest.raises(ValueError, match=f"field: found {found!r}, allowed: None or an integer of at least 1"):
        checks.require_optional_integers(1, field=found)


@pytest.mark.parametrize("found", [0, 2, -1, 3.0, True, None])
def test_odd_numbers_name_the_field(found):
    with pytest.raises(ValueError, match=f"field: found {found!r}, allowed: an odd integer above 0"):
        checks.require_odd(field=found)


@pytest.mark.parametrize("found", [0, -1.0, float("inf"), float("nan"), True, "1"])
def test_positive_numbers_name_the_field(found):
    with pytest.raises(ValueError, match=f"field: found {found!r}, allowed: a finite number above 0"):
        checks.require_positive(field=found)


def test_choices_list_what_is_allowed():
    with pytest.raises(ValueError, match="field: found 'c', allowed: a, b"):
        checks.require_one_of(["a", "b"], field="c")


@pytest.mark.parametrize("found", [-0.1, 1.1, float("nan"), True, "1", None])
def test_shares_name_the_field(found):
    with pytest.raises(ValueError, match=rf"field: found {found!r}, allowed: a number in \[0, 1\]"):
        checks.require_shares(field=found)


@pytest.mark.parametrize("found", [0, "true", None])
def test_booleans_name_the_field(found):
    with pytest.raises(ValueError, match=f"field: found {found!r}, allowed: True or False"):
        checks.require_booleans(field=found)
