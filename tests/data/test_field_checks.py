from pathlib import Path

import pytest

from flaxgan.data import field_checks


@pytest.mark.parametrize("given, sides", [(None, None), (16, (16, 16)), ((64, 96), (64, 96)), ([64, 96], (64, 96))])
def test_height_width(given, sides):
    assert field_checks.height_width(given) == sides


@pytest.mark.parametrize("channels", [2, 5, "RGB"])
def test_files_have_one_three_or_four_channels(channels):
    with pytest.raises(
        ValueError, match=r"config\.data\.channels: found .*, allowed: 1 \(grey\), 3 \(RGB\), 4 \(RGBA\)"
    ):
        field_checks.check_image_channels(channels)


@pytest.mark.parametrize("path", ["", None])
def test_empty_path_is_not_the_current_folder(path):
    with pytest.raises(ValueError, match=r"config\.data\.path: found '', allowed: Lay it out"):
        field_checks.existing_path(path, "Lay it out")


def test_missing_path_ends_with_the_layout():
    with pytest.raises(
        FileNotFoundError, match=r"config\.data\.path: found '/no/such', which does not exist, allowed: Lay it out$"
    ):
        field_checks.existing_path("/no/such", "Lay it out")


def test_path_that_cannot_be_looked_up():
    with pytest.raises(ValueError, match=r"config\.data\.path: found .*cannot be read"):
        field_checks.existing_path("x" * 5000, "Lay it out")


def test_path_starts_at_home_or_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert field_checks.existing_path("~/set", "") == field_checks.existing_path("set", "") == Path(tmp_path / "set")
