"""The end of a step: the generator's average, the counters and the augmentation controller."""

from collections.abc import Callable

from flaxgan.augment import controller
from flaxgan.config import AugmentConfig
from flaxgan.train import ema
from flaxgan.train.setup import Setup
from flaxgan.train.state import TrainState


def program(setup: Setup) -> Callable[[TrainState], TrainState]:
    """The function that is compiled and run once after the phases of each step."""
    config = setup.config

    def advance(state: TrainState) -> TrainState:
        beta = ema.ema_beta(config.ema, state.images_seen, config.batch_size)
        state = state.replace(
            ema=ema.update(state.ema, state.g, beta),
            step=state.step + 1,
            images_seen=state.images_seen + config.batch_size,
        )
        return _adapt(state, config.augment, config.batch_size)

    return advance


def _adapt(state: TrainState, config: AugmentConfig, batch_size: int) -> TrainState:
    if config.policy != "ada":
        return state
    ada = controller.maybe_update(
        state.ada,
        state.step,
        interval=config.interval,
        images_per_update=batch_size * config.interval,
        target=config.target,
        kimg=config.adjust_kimg,
        p_max=config.p_max,
    )
    return state.replace(ada=ada)
