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
from flaxgan.train.step.loss_context import Reals, Scene, mean_score
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import Setup, regularizer_settings, supplied_arguments

Scalars = dict[str, jax.Array]
Loss = Callable[[Any, TrainState, Reals, PhaseInputs], tuple[jax.Array, tuple[TrainState, Scalars]]]


def main(setup: Setup, network: str, names: Sequence[str] = ()) -> Loss:
    """A network's side of the game, with the regularizers that join it in every step.

    Args:
      setup: the run.
      network: "g" or "d".
      names: of the regularizers.
    """
    game = {"g": _g_game, "d": _d_game}[network]

    def loss(params, state, reals, inputs):
        scene = Scene(setup, network, params, state, reals, inputs)
        value, state, scalars = game(scene)
        for name in names:
            penalty, changes = _penalty(scene, name, d_variables=state.d.variables)
            value, state = value + penalty, state.replace(**changes)
            scalars[name] = penalty
        return value, (state, scalars)

    return loss


def regularizer(setup: Setup, network: str, name: str) -> Loss:
    """A regularizer on its own. A generator's statistics move with it; D's stay as its main loss left them."""

    def loss(params, state, reals, inputs):
        scene = Scene(setup, network, params, state, reals, inputs)
        penalty, changes = _penalty(scene, name, d_variables=state.d.variables)
        state = state.replace(**changes)
        return penalty, (state, {"loss": penalty})

    return loss


def _g_game(scene: Scene) -> tuple[jax.Array, TrainState, Scalars]:
    fake = scene.judged_fakes
    # Losses that compare with reals need this; for the others it disappears in compilation.
    real = scene.judged_reals
    _, values = scene.setup.loss(real.output.logits, fake.output.logits)
    state = _with_variables(scene.state, g=scene.fakes.variables, d=fake.variables)
    return jnp.mean(values), state, {"loss": jnp.mean(values)}


def _d_game(scene: Scene) -> tuple[jax.Array, TrainState, Scalars]:
    """The generator's statistics move, its parameters do not."""
    fake, real = scene.judged_fakes.output, scene.judged_reals.output
    values, _ = scene.setup.loss(real.logits, fake.logits)
    state = _with_variables(scene.state, g=scene.fakes.variables, d=scene.judged_reals.variables)
    state = state.replace(ada=controller.accumulate(state.ada, real.logits))
    scores = {"real_logits": mean_score(real.logits), "fake_logits": mean_score(fake.logits)}
    scalars = {"loss": jnp.mean(values), **scores}
    noise = scene.setup.config.input_noise
    if noise.weight:
        score = scores[f"{noise.score}_logits"]
        scalars["noise_strength"] = scene.noise_strength
        score = input_noise.update_score(state.input_score, score, decay=noise.decay, clip=noise.clip)
        state = state.replace(input_score=score)
    return jnp.mean(values), state, scalars


def _penalty(scene: Scene, name: str, *, d_variables: Any) -> tuple[jax.Array, dict[str, Any]]:
    """The mean of a regularizer, and what it changes in the train state."""
    chosen = getattr(scene.setup.config, f"{scene.network}_regularizers")[name]
    shrink = chosen.get("batch_shrink", 1)
    if shrink > 1:
        scene = scene.first(scene.inputs.latents.z.shape[0] // shrink)
    supply, wanted = scene.supply(d_variables), supplied_arguments(name)
    settings = {key: chosen[key] for key in regularizer_settings(name)}
    function = lookup.function(regularizers, name)
    penalty, changes = function(**{argument: supply[argument]() for argument in wanted}, **settings)
    if "ws" in wanted:
        state = scene.state
        changes = {**changes, "g": state.g.replace(variables=scene.mapped[1])}
    return jnp.mean(penalty), changes


def _with_variables(state: TrainState, *, g: Any, d: Any) -> TrainState:
    return state.replace(g=state.g.replace(variables=g), d=state.d.replace(variables=d))
