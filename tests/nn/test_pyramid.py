"""Base grids, pyramids and channels."""

import pytest

from flaxgan.nn import pyramid


@pytest.mark.parametrize(
    ("size", "base", "num_grids"),
    [
        ((1024, 1024), (4, 4), 9),
        ((64, 96), (4, 6), 5),
        ((40, 56), (5, 7), 4),
        ((12, 12), (6, 6), 2),
        ((4, 4), (4, 4), 1),
    ],
)
def test_grids_double_from_the_base_grid_to_the_image(size, base, num_grids):
    found = pyramid.grids(*size)
    assert pyramid.base_grid(*size) == base
    assert found[0] == base and found[-1] == size and len(found) == num_grids
    assert all(after == (2 * before[0], 2 * before[1]) for before, after in zip(found, found[1:]))


def test_channels_follow_the_shorter_side_up_to_the_maximum():
    assert [pyramid.channels((r, 2 * r), 32768, 512) for r in (4, 64, 128, 1024)] == [512, 512, 256, 32]


@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 96, 3), (96, 64, 4), (40, 56, 2), (64, 100, 3)])
def test_buildable_shapes_pass(shape):
    pyramid.require_buildable(shape)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((4, 4, 3), "4x4 pixels"),
        ((6, 64, 3), "6x64 pixels"),
        ((65, 65, 3), "down to 65x65"),
        ((256, 257, 3), "down to 256x257"),
        ((100, 100, 3), "down to 25x25"),
        ((64, 64), r"\(64, 64\)"),
        ((64, 64, 0), r"\(64, 64, 0\)"),
        ((64.0, 64, 3), r"\(64.0, 64, 3\)"),
    ],
)
def test_other_shapes_are_refused_by_name(shape, found):
    with pytest.raises(ValueError, match=f"image_shape: found .*{found}.*allowed"):
        pyramid.require_buildable(shape)
