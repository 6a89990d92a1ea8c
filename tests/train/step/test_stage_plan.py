import dataclasses

import numpy as np
import pytest
import small_gans

from flaxgan.config import GrowthConfig
from flaxgan.train.step import stage_plan
from flaxgan.types import Gan

GROWING = dataclasses.replace(small_gans.gan(), image_shape=(16, 32, 1), stages=((4, 8), (8, 16), (16, 32)))


def _config(gan: Gan = GROWING, **fields):
    return small_gans.config(**{"total_kimg": 2.0, "batch_size": 10, **fields})


def _stages(gan: Gan = GROWING, **fields):
    return stage_plan.stages(_config(**fields), gan)


def _growth(**fields) -> GrowthConfig:
    return GrowthConfig(**{"start_px": 4, "fade_kimg": 0.3, "stabilize_kimg": 0.2, **fields})


def test_a_run_without_growing_is_one_stage():
    (stage,) = _stages(small_gans.gan(), d_steps=3)
    assert stage.network_stage is None and stage.arguments(5) == {}
    assert (stage.image_shape, stage.batch_size, stage.images_per_step) == (small_gans.IMAGE_SHAPE, 10, 30)
    assert (stage.first_step, stage.num_steps, stage.first_image) == (0, 67, 0)
    assert [stage.images_at(step) for step in (0, 1, 67)] == [0, 30, 2010]


def test_networks_that_can_grow_train_the_full_size_unless_asked_to():
    (stage,) = _stages()
    assert stage.network_stage == 2 and stage.image_shape == (16, 32, 1)
    assert stage.arguments(0) == {"stage": 2, "alpha": 1}


def test_stages_follow_each_other_and_the_last_goes_on_to_the_end():
    stages = _stages(growth=_growth(batch_sizes=(20, 15, 10), learning_rates=(0.1, 0.2, 0.3)))
    assert [stage.network_stage for stage in stages] == [0, 1, 2]
    assert [stage.image_shape for stage in stages] == [(4, 8, 1), (8, 16, 1), (16, 32, 1)]
    assert [stage.learning_rate for stage in stages] == [0.1, 0.2, 0.3]
    # Planned ends are 200 and 700 images; a stage takes whole steps, and the next counts from where it ended.
    assert [(s.first_image, s.num_steps, s.first_step) for s in stages] == [(0, 10, 0), (200, 34, 10), (710, 129, 44)]
    assert [stage.fade_images for stage in stages] == [0, 300, 300]
    assert stage_plan.total_steps(stages) == 173 and stages[-1].images_at(173) == 2000


def test_growing_can_begin_at_any_stage():
    stages = _stages(growth=_growth(start_px=8))
    assert [(stage.network_stage, stage.fade_images) for stage in stages] == [(1, 0), (2, 300)]


def test_stages_that_are_never_reached_are_left_out():
    assert len(_stages(growth=_growth(), total_kimg=0.2)) == 1
    assert len(_stages(growth=_growth(), total_kimg=0.3)) == 2


def test_alpha_rises_over_the_fade_and_may_be_traced():
    stage = _stages(growth=_growth())[1]
    shares = [stage.alpha(images) for images in (200, 260, 500, 600)]
    np.testing.assert_allclose(shares, [0, 0.2, 1, 1], rtol=1e-6)
    assert _stages(growth=_growth())[0].alpha(0) == 1


def test_optimizers_restart_where_a_stage_begins_and_where_its_fade_ends():
    """As where floor or ceiling of the level of detail change; the fade is over from the first step with alpha 1 on."""
    stages = _stages(growth=_growth(fade_kimg=0.255))
    restarts = [
        step
        for step in range(stage_plan.total_steps(stages))
        if stages[stage_plan.number_at(stages, step)].restarts_at(step)
    ]
    assert restarts == [20, 20 + 26, 66, 66 + 26]
    for stage in stages[1:]:
        before, after = (float(stage.alpha(stage.images_at(step))) for step in (stage.faded_step - 1, stage.faded_step))
        assert before < 1 and after == 1
    assert not any(_stages(small_gans.gan())[0].restarts_at(step) for step in range(200))


def test_every_step_belongs_to_one_stage():
    stages = _stages(growth=_growth())
    numbers = [stage_plan.number_at(stages, step) for step in range(stage_plan.total_steps(stages) + 1)]
    assert numbers == [0] * 20 + [1] * 50 + [2] * 131


def test_the_schedule_is_that_of_the_official_code():
    """Level of detail = stages left + (1 - alpha), for 600 + 600 kimg a stage."""
    config = _config(batch_size=1000, total_kimg=5000.0, growth=GrowthConfig(start_px=4))
    stages = stage_plan.stages(config, GROWING)
    for kimg, lod in ((0, 2), (599, 2), (600, 2), (900, 1.5), (1200, 1), (1799, 1), (2250, 0.25), (2400, 0), (4000, 0)):
        stage = stages[stage_plan.number_at(stages, kimg)]
        np.testing.assert_allclose(2 - stage.network_stage + 1 - stage.alpha(1000 * kimg), lod, rtol=1e-6)


def test_due_are_the_steps_that_pass_a_multiple():
    (stage,) = _stages(small_gans.gan())
    assert [step for step in range(1, 21) if stage_plan.is_due(stage, step, 0.05)] == [5, 10, 15, 20]
    assert [step for step in range(1, 21) if stage_plan.is_due(stage, step, 0.035)] == [4, 7, 11, 14, 18]
    assert all(stage_plan.is_due(stage, step, 0.001) for step in range(1, 21))


@pytest.mark.parametrize(
    "gan, fields, message",
    [
        (
            small_gans.gan(),
            {"growth": _growth()},
            "growth.start_px: found 4, allowed: None, because network 'style.* no",
        ),
        (GROWING, {"growth": _growth(start_px=6)}, "growth.start_px: found 6, allowed: 4, 8, 16, the stages"),
        (GROWING, {"growth": _growth(batch_sizes=(8, 4))}, r"growth.batch_sizes: found \(8, 4\), allowed: .* or 3 val"),
        (GROWING, {"growth": _growth(learning_rates=(1.0,))}, r"growth.learning_rates: found \(1.0,\)"),
        (GROWING, {"growth": GrowthConfig(batch_sizes=(8,))}, "growth.batch_sizes: .* because growth.start_px is None"),
        (GROWING, {"growth": _growth(), "g_batch_size": 4}, "g_batch_size: found 4, allowed: None, because growth"),
    ],
)
def test_what_cannot_grow_so_is_refused(gan, fields, message):
    with pytest.raises(ValueError, match=f"config.{message}"):
        _stages(gan, **fields)
