"""The end of a step: the generator's average, the counters and the augmentation controller."""

from collections.abc import Callable

from flaxgan.augment import controller
from flaxgan.config import AugmentConfig
from flaxgan.train.step import ema
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup


def program(setup: TrainingSetup) -> Callable[[TrainState], TrainState]:
    """The function that is compiled and run once after the phases of each step."""
    config, num_images = setup.config, setup.stage.images_per_step

    def advance(state: TrainState) -> TrainState:
        beta = ema.ema_beta(config.ema, state.images_seen, num_images)
        state = state.replace(
            ema=ema.update(state.ema, state.g, beta),
            step=state.step + 1,
            images_seen=state.images_seen + num_images,
        )
        return _adapt(state, config.augment, num_images)

    return advance


def _adapt(state: TrainState, config: AugmentConfig, num_images: int) -> TrainState:
    if config.policy != "ada":
        return state
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
