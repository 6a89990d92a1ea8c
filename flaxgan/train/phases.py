"""The phases of a training step: the adversarial game of the two networks, and their lazy regularizers.

A phase updates one network once. `draw` makes its random inputs, `update` uses them; `program` joins the two. The code is
written for the whole global batch, as if there were one device.
"""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import optax

from flaxgan import prng
from flaxgan.ops.image import to_float
from flaxgan.train import inputs as drawing
from flaxgan.train import terms
from flaxgan.train.inputs import PhaseInputs
from flaxgan.train.setup import Setup
from flaxgan.train.state import TrainState

Batch = dict[str, jax.Array]
"""images uint8 [N, H, W, C] and labels int32 [N]."""

Scalars = dict[str, jax.Array]
"""Named values for the log, one a round: [rounds]."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """One update of one network.

    Attributes:
      name: g_main, d_main, or g_ or d_ and a regularizer's name.
      interval: it runs at steps that this divides.
      draw: key -> its random inputs.
      update: (state, batch, inputs) -> (state, scalars).
    """

    name: str
    interval: int
    draw: Callable[[jax.Array], PhaseInputs]
    update: Callable[[TrainState, Batch, PhaseInputs], tuple[TrainState, Scalars]]

    def program(self, seed: int) -> Callable[[TrainState, Batch], tuple[TrainState, Scalars]]:
        """The function that is compiled: draws from the step's own key, then updates."""

        def run(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
            return self.update(state, batch, self.draw(prng.step_key(seed, state.step, self.name)))

        run.__name__ = self.name
        return run


def build(setup: Setup) -> tuple[Phase, ...]:
    """The phases of a run in their order: G, G's lazy regularizers, D, D's lazy regularizers."""
    config = setup.config
    g_losses = {name: terms.g_regularizer(setup, name) for name in config.g_regularizers}
    d_losses = {name: terms.d_regularizer(setup, name) for name in config.d_regularizers}
    return (
        *_network_phases(setup, "g", terms.g_adversarial(setup), g_losses),
        *_network_phases(setup, "d", terms.d_adversarial(setup), d_losses),
    )


def _network_phases(setup: Setup, network: str, adversarial: terms.Loss, losses: dict[str, terms.Loss]):
    """The main phase, with the regularizers of every step in it, and one phase for each lazy regularizer."""
    settings = getattr(setup.config, f"{network}_regularizers")
    every_step = {name: loss for name, loss in losses.items() if settings[name]["interval"] == 1}
    yield Phase(
        name=f"{network}_main",
        interval=1,
        draw=lambda key: _draw(setup, key, images=True, noise=network == "g" and bool(every_step)),
        update=_update(setup, network, _sum(adversarial, every_step), interval=1),
    )
    for name in settings.keys() - every_step.keys():
        yield _lazy_phase(setup, network, name, losses[name])


def _lazy_phase(setup: Setup, network: str, name: str, loss: terms.Loss) -> Phase:
    settings = getattr(setup.config, f"{network}_regularizers")[name]
    of_g = network == "g"
    return Phase(
        name=f"{network}_{name}",
        interval=settings["interval"],
        draw=lambda key: _draw(setup, key, images=of_g, noise=of_g, shrink=settings["batch_shrink"]),
        update=_update(setup, network, loss, interval=settings["interval"]),
    )
