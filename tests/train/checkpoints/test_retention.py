import math

import pytest
import small_gans

from flaxgan.train.checkpoints import retention
from flaxgan.train.checkpoints.retention import Best, Retention
from flaxgan.train.step import stage_plan


def _saved(rule: Retention, steps, measured=()) -> list[int]:
    """What is left after checkpoints were saved one after the other."""
    left: list[int] = []
    for step in steps:
        left = sorted(rule.kept([*left, step], dict(measured)))
    return left


def test_the_latest_stay():
    assert _saved(Retention(2), range(1, 6)) == [4, 5]
    assert _saved(Retention(9), range(1, 6)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("saves", [range(2, 31, 2), [1, 3, 4, 9, 11, 12, 19, 20, 25, 29, 30]])
def test_the_first_of_each_stretch_stays(saves):
    """8 images a step, a checkpoint for every 80: also where checkpoints and stretches do not meet."""
    left = _saved(Retention(1, every_images=80, images_at=lambda step: 8 * step), saves)
    first = [min(step for step in saves if step // 10 == stretch) for stretch in (1, 2, 3)]
    assert left == sorted({*first, 30})


@pytest.mark.parametrize("direction, best", [("min", 3), ("max", 2)])
def test_the_best_stays_whatever_comes_later(direction, best):
    values = {1: 5.0, 2: 8.0, 3: 1.0, 4: 4.0, 5: 8.0, 6: math.nan, 7: -math.inf}
    measured = {step: {"frechet": value, "other": -value} for step, value in values.items()}
    rule = Retention(1, best=Best("frechet", direction))
    assert _saved(rule, range(1, 8), measured) == [best, 7]


def test_a_checkpoint_that_was_not_measured_is_never_the_best():
    rule = Retention(1, best=Best("frechet", "min"))
    assert _saved(rule, range(1, 4)) == [3]
    assert _saved(rule, range(1, 4), {2: {"recall": 1.0}}) == [3]
    assert _saved(rule, range(1, 4), {1: {"frechet": 9.0}}) == [1, 3]


def test_names_tell_their_direction_or_are_given_one():
    metrics = ("class_quality",)
    assert Best.parse("frechet", metrics) == Best("frechet", "min")
    assert Best.parse("recall", metrics) == Best("recall", "max")
    assert Best.parse("fid:min", metrics) == Best("fid", "min")
    for text in ("fid", "fid:up", ":min"):
        with pytest.raises(ValueError, match=f"config.keep_best: found '{text}', allowed: agreement, .*NAME:min"):
            Best.parse(text, metrics)
    with pytest.raises(ValueError, match="keep_best: found 'frechet', allowed: '', because config.metrics measures"):
        Best.parse("frechet", ())


def test_the_rule_of_a_config():
    config = small_gans.config(keep_checkpoints=4, keep_every_kimg=0.08, total_kimg=0.8, metrics=("class_quality",))
    stages = stage_plan.stages(config, small_gans.gan())
    rule = retention.from_config(config, stages)
    assert (rule.latest, rule.every_images, rule.best) == (4, 80, None)
    assert [rule.images_at(step) for step in (0, 1, 10, 100)] == [0, 8, 80, 800]
    rule = retention.from_config(small_gans.config(keep_best="recall", metrics=("class_quality",)), stages)
    assert rule.best == Best("recall", "max") and rule.every_images is None


def test_orbax_is_told_in_its_own_order():
    class Info:
        def __init__(self, step):
            self.step = step

    policy = retention.OrbaxPolicy(Retention(1, best=Best("frechet", "min")), {2: {"frechet": 1.0}})
    assert policy.should_preserve([Info(3), Info(1), Info(2)], context=None) == [True, False, True]
