"""Which stage a growing network computes."""

import jax
import jax.numpy as jnp
import pytest

from flaxgan.nn import progressive

GRIDS = ((4, 6), (8, 12), (16, 24))


def test_stages_are_indices_of_grids():
    assert [progressive.stage_index(stage, GRIDS) for stage in (0, 1, 2, None)] == [0, 1, 2, 2]


@pytest.mark.parametrize("stage", [-1, 3, 1.0, True])
def test_no_such_stage(stage):
    with pytest.raises(
        ValueError, match=r"stage: found .*, allowed: None or one of 0 \(4x6\), 1 \(8x12\), 2 \(16x24\)"
    ):
        progressive.stage_index(stage, GRIDS)


def test_the_stage_before_takes_part_unless_it_is_known_not_to():
    assert not progressive.is_fading(0, 0.5) and not progressive.is_fading(1, 1.0) and not progressive.is_fading(1, 1)
    assert progressive.is_fading(1, 0.0) and progressive.is_fading(1, jnp.ones(()))
    traced = []
    jax.make_jaxpr(lambda alpha: traced.append(progressive.is_fading(1, alpha)))(1.0)
    assert traced == [True]
    shown = lambda stage, alpha: [progressive.shows_image(index, stage, alpha) for index in range(3)]
    assert shown(2, 0.5) == [False, True, True] and shown(2, 1.0) == [False, False, True]
    assert shown(0, 0.5) == [True, False, False]


def test_images_must_have_the_size_of_the_stage():
    progressive.require_stage_images(jnp.zeros((1, 8, 12, 3)), (8, 12), 3)
    for shape in ((1, 4, 6, 3), (8, 12, 3), (1, 8, 12, 1)):
        with pytest.raises(ValueError, match=r"images: found shape .*, allowed: \[N, 8, 12, 3\]"):
            progressive.require_stage_images(jnp.zeros(shape), (8, 12), 3)


def test_low_precision_is_that_of_the_highest_grids():
    assert [progressive.low_grids(GRIDS, count) for count in (0, 1, 9)] == [set(), {16}, {8, 16}]
