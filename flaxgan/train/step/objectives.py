"""The terms of the losses: the adversarial game, and regularizers supplied with what their arguments name.

Every function here builds a `Loss`: (params, state, reals, inputs) -> (loss, (state, scalars)). `params` are those of
the network that is trained, `state` supplies everything else and comes back with its statistics updated, `inputs` are
those of one round.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan import lookup
from flaxgan.augment import controller, input_noise
from flaxgan.losses import regularizers
from flaxgan.train.step.loss_context import LossContext, Reals, mean_score
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup, regularizer_settings, supplied_arguments

Scalars = dict[str, jax.Array]
Loss = Callable[[Any, TrainState, Reals, PhaseInputs], tuple[jax.Array, tuple[TrainState, Scalars]]]


def main(setup: TrainingSetup, network: str, names: Sequence[str] = ()) -> Loss:
    """A network's side of the game, with the regularizers that join it in every step.

    Args:
      setup: the run.
      network: "g" or "d".
      names: of the regularizers.
    """
    game = {"g": _g_game, "d": _d_game}[network]

    def loss(params, state, reals, inputs):
        context = LossContext(setup, network, params, state, reals, inputs)
        value, state, scalars = game(context)
        for name in names:
            penalty, changes = _penalty(context, name, d_variables=state.d.variables)
            value, state = value + penalty, state.replace(**changes)
            scalars[name] = penalty
        return value, (state, scalars)

    return loss


def regularizer(setup: TrainingSetup, network: str, name: str) -> Loss:
    """A regularizer on its own. A generator's statistics move with it; D's stay as its main loss left them."""

    def loss(params, state, reals, inputs):
        context = LossContext(setup, network, params, state, reals, inputs)
        penalty, changes = _penalty(context, name, d_variables=state.d.variables)
        state = state.replace(**changes)
        return penalty, (state, {"loss": penalty})

    return loss


def _g_game(context: LossContext) -> tuple[jax.Array, TrainState, Scalars]:
    fake = context.judged_fakes
    # Losses that compare with reals need this; for the others it disappears in compilation.
    real = context.judged_reals
    _, values = context.setup.loss(real.output.logits, fake.output.logits)
    state = _with_variables(context.state, g=context.fakes.variables, d=fake.variables)
    return jnp.mean(values), state, {"loss": jnp.mean(values)}


def _d_game(context: LossContext) -> tuple[jax.Array, TrainState, Scalars]:
    """The generator's statistics move, its parameters do not."""
    fake, real = context.judged_fakes.output, context.judged_reals.output
    values, _ = context.setup.loss(real.logits, fake.logits)
    state = _with_variables(context.state, g=context.fakes.variables, d=context.judged_reals.variables)
    state = state.replace(ada=controller.accumulate(state.ada, real.logits))
    scores = {"real_logits": mean_score(real.logits), "fake_logits": mean_score(fake.logits)}
    scalars = {"loss": jnp.mean(values), **scores}
    noise = context.setup.config.input_noise
    if noise.weight:
        score = scores[f"{noise.score}_logits"]
        scalars["noise_strength"] = context.noise_strength
        score = input_noise.update_score(state.input_score, score, decay=noise.decay, clip=noise.clip)
        state = state.replace(input_score=score)
    return jnp.mean(values), state, scalars


def _penalty(context: LossContext, name: str, *, d_variables: Any) -> tuple[jax.Array, dict[str, Any]]:
    """The mean of a regularizer, and what it changes in the train state."""
    chosen = getattr(context.setup.config, f"{context.network}_regularizers")[name]
    shrink = chosen.get("batch_shrink", 1)
    if shrink > 1:
        context = context.first(context.inputs.latents.z.shape[0] // shrink)
    supply, wanted = context.supply(d_variables), supplied_arguments(name)
    settings = {key: chosen[key] for key in regularizer_settings(name)}
    function = lookup.function(regularizers, name)
    penalty, changes = function(**{argument: supply[argument]() for argument in wanted}, **settings)
    if "ws" in wanted:
        state = context.state
        changes = {**changes, "g": state.g.replace(variables=context.mapped[1])}
    return jnp.mean(penalty), changes


def _with_variables(state: TrainState, *, g: Any, d: Any) -> TrainState:
    return state.replace(g=state.g.replace(variables=g), d=state.d.replace(variables=d))
