import pytest

from flaxgan.data.decoding.transform import Transform
from flaxgan.data.image_spec import ImageSpec


def test_transform_is_what_is_asked_for():
    request = ImageSpec(resolution=(4, 6), channels=1, crop="center", resize="box")
    assert request.size == (4, 6) and request.transform == Transform((4, 6), 1, "center", "box")
    assert ImageSpec().transform == Transform() and ImageSpec(resolution=8).size == (8, 8)


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"labels": "floats"}, r"config\.data\.labels: found 'floats', allowed: classes, vectors"),
        ({"on_error": "ignore"}, r"config\.data\.on_error: found 'ignore', allowed: raise, skip"),
        ({"crop": "left", "resolution": 8}, r"config\.data\.crop: found 'left', allowed: none, center"),
        ({"resize": "linear", "resolution": 8}, r"config\.data\.resize: found 'linear', allowed: none, lanczos, box"),
        (
            {"resize": "box"},
            r"config\.data\.resize: found 'box', allowed: 'none', because config\.data\.resolution is unset",
        ),
        ({"num_classes": -1}, r"config\.data\.num_classes: found -1, allowed"),
        ({"resolution": "8"}, r"config\.data\.resolution: found '8', allowed"),
    ],
)
def test_value_that_is_not_allowed(fields, problem):
    with pytest.raises(ValueError, match=problem):
        ImageSpec(**fields)


def test_channels_are_checked_where_images_come_from_files():
    with pytest.raises(ValueError, match=r"config\.data\.channels: found 5, allowed: 1 \(grey\)"):
        ImageSpec(channels=5).transform  # noqa: B018
