"""The objectives of the phases: the adversarial game, and regularizers on their own.

Every function here builds an `Objective`: (params, state, reals, inputs) -> (loss, (state, scalars)). `params` are
those of the network that is trained, `state` supplies everything else and comes back with its statistics updated,
`inputs` are those of one round.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

from flaxgan.augment import controller
from flaxgan.errors import FieldError, Words
from flaxgan.train.step import loss_context
from flaxgan.train.step.loss_context import Depth, LossContext, Reals, mean_score
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import Regularizer, TrainingSetup

Scalars = dict[str, jax.Array]
"""Named values for the log, one for each round: [rounds]; the norm of the mean gradient is [1]."""

Objective = Callable[[Any, TrainState, Reals, PhaseInputs], tuple[jax.Array, tuple[TrainState, Scalars]]]


def main(setup: TrainingSetup, network: str, regularizers: Sequence[Regularizer] = ()) -> Objective:
    """Builds a network's side of the game, with the regularizers that join it in every step.

    Args:
      setup: the run.
      network: "g" or "d".
      regularizers: those that join.
    """
    game = {"g": _g_game, "d": _d_game}[network]

    def objective(
        params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs
    ) -> tuple[jax.Array, tuple[TrainState, Scalars]]:
        context = loss_context.create(setup, network, params, state, reals, inputs)
        value, state, scalars = game(context)
        for one in regularizers:
            penalty, state = _penalty(context, one, state)
            value = value + penalty
            scalars[one.name] = penalty
        return value, (state, scalars)

    return objective


def regularizer(setup: TrainingSetup, network: str, one: Regularizer) -> Objective:
    """Builds a regularizer on its own. A generator's statistics move with it; D's stay as its main loss left them."""

    def objective(
        params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs
    ) -> tuple[jax.Array, tuple[TrainState, Scalars]]:
        depth = Depth.NOTHING if one.batch_shrink > 1 else Depth(one.depth)
        context = loss_context.create(setup, network, params, state, reals, inputs, depth=depth)
        penalty, state = _penalty(context, one, state)
        return penalty, (state, {"loss": penalty})

    return objective


def _g_game(context: LossContext) -> tuple[jax.Array, TrainState, Scalars]:
    # Only some losses compare with reals; for the others the compiler drops D's call on them.
    _, values = context.setup.loss(context)
    # With shared latents, D's update has made the same images, and the generator's statistics have moved there.
    g_variables = context.state.g.variables if context.setup.config.share_latents else context.fakes.variables
    d_variables = context.d_variables if context.setup.config.d_statistics_in_g else context.state.d.variables
    state = _with_variables(context.state, g=g_variables, d=d_variables)
    return jnp.mean(values), state, {"loss": jnp.mean(values)}


def _d_game(context: LossContext) -> tuple[jax.Array, TrainState, Scalars]:
    """The generator's statistics move, its parameters do not."""
    fake, real = context.fake_call.output, context.real_call.output
    values, _ = context.setup.loss(context)
    state = _with_variables(context.state, g=context.fakes.variables, d=context.d_variables)
    state = state.replace(ada=controller.accumulate(state.ada, real.logits))
    scores = {"real_logits": mean_score(real.logits), "fake_logits": mean_score(fake.logits)}
    scalars = {"loss": jnp.mean(values), **scores}
    noise = context.setup.input_noise
    if noise is not None:
        scalars["noise_strength"] = noise.strength(state.input_score)
        score = noise.update_score(state.input_score, scores["real_logits"], scores["fake_logits"])
        state = state.replace(input_score=score)
    return jnp.mean(values), state, scalars


def _penalty(context: LossContext, one: Regularizer, state: TrainState) -> tuple[jax.Array, TrainState]:
    """Returns the mean of a regularizer, and the state with what it changes."""
    if one.batch_shrink > 1:
        num_images = context.inputs.latents.z.shape[0] // one.batch_shrink
        context = context.first(num_images, Depth(one.depth))
    own = state.regularizers[context.network].get(one.name, {})
    penalty, new = one.function(**{name: value(context) for name, value in one.inputs}, **own)
    _check_result(one, penalty, own, new)
    if own:
        of_network = {**state.regularizers[context.network], one.name: new}
        state = state.replace(regularizers={**state.regularizers, context.network: of_network})
    if one.maps_latents:
        state = state.replace(g=state.g.replace(variables=context.g_variables))
    return jnp.mean(penalty), state


def _check_result(one: Regularizer, penalty: jax.Array, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Checks, while tracing, that a regularizer keeps its contract.

    Raises:
      FieldError: if the penalty is neither [N] nor a scalar, or the new state is not like the old one.
    """
    function = f"the result of regularizer {one.name!r}"
    if jnp.ndim(penalty) > 1:
        raise FieldError(function, Words(f"a penalty of shape {penalty.shape}"), "[N] or a scalar")
    try:
        chex.assert_trees_all_equal_shapes_and_dtypes(dict(old), dict(new))
    except AssertionError as error:
        allowed = f"the state that it declares: {', '.join(old) or 'none'}, each a float32 scalar"
        raise FieldError(function, Words(f"the state {', '.join(new) or 'none'}"), allowed) from error


def _with_variables(state: TrainState, *, g: Any, d: Any) -> TrainState:
    return state.replace(g=state.g.replace(variables=g), d=state.d.replace(variables=d))
