"""The end of a step: the generator's average, the counters and the augmentation controller.

With `config.ema.before_g`, the generator's main phase has updated the average before.
"""

from collections.abc import Callable

from flaxgan.augment import controller
from flaxgan.config import AugmentConfig
from flaxgan.train.step import ema
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup


def program(setup: TrainingSetup) -> Callable[[TrainState], TrainState]:
    """Returns the function that is compiled and run once after the phases of each step."""
    average, num_images = setup.config.ema, setup.stage.images_per_step
    adapt = _adapter(setup.config.augment, num_images)

    def advance(state: TrainState) -> TrainState:
        if not average.before_g:
            state = ema.step(average, state, num_images)
        return adapt(state.replace(step=state.step + 1, images_seen=state.images_seen + num_images))

    return advance


def _adapter(config: AugmentConfig, num_images: int) -> Callable[[TrainState], TrainState]:
    """Returns the function that adapts the strength of the augmentation, or leaves it."""
    if config.policy != "ada":
        return lambda state: state

    def adapt(state: TrainState) -> TrainState:
        ada = controller.maybe_update(
            state.ada,
            state.step,
            interval=config.interval,
            images_per_update=num_images * config.interval,
            target=config.target,
            kimg=config.adjust_kimg,
            p_max=config.p_max,
        )
        return state.replace(ada=ada)

    return adapt
