"""The trainer's own steps on the inputs of a stored training run, with all that they compute kept for comparison.

A run is fed with stored draws instead of random ones. Its optimizers keep the gradients that they are given, and
regularizers of no weight keep the logits and penalties of each image in the train state; nothing else is added.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from reference_training import compiled

from flaxgan.augment import controller
from flaxgan.train.step import finish_step, objectives, phases
from flaxgan.train.step.loss_context import Depth, LossContext, Reals
from flaxgan.train.step.optimizers import Optimizers
from flaxgan.train.step.per_network import NETWORKS, PerNetwork
from flaxgan.train.step.phases import Phase
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import Average, NetworkState, TrainState
from flaxgan.train.step.training_setup import Regularizer, TrainingSetup

KEPT = "kept_"
"""Beginning of the names under which the train state keeps values."""


Feed = Callable[[Phase, int], tuple[Reals, PhaseInputs]]
"""(phase, repeat) -> the inputs of an update."""


class Update(NamedTuple):
    """One update of a network.

    Attributes:
      phase: name of the phase, such as d_main.
      repeat: which of the phase's repeats.
      before: the train state before it.
      after: the train state after it.
      scalars: what the phase reports.
    """

    phase: str
    repeat: int
    before: TrainState
    after: TrainState
    scalars: Mapping[str, jax.Array]

    @property
    def network(self) -> str:
        """The network that was trained, "g" or "d"."""
        return self.phase[0]

    @property
    def gradients(self) -> Any:
        """The gradients as the optimizer saw them, a tree like the parameters."""
        return self.after.network(self.network).opt_state.gradients

    def kept(self, name: str, owner: str = "record") -> np.ndarray:
        """A value of each image, [rounds, N]: fake_logits, real_logits, or `penalty` with a regularizer as owner."""
        return np.asarray(self.after.regularizers[self.network][owner][KEPT + name])


class Run:
    """A run of the trainer.

    Args:
      setup: what its steps are built of.

    Attributes:
      phases: the trainer's phases in their order.
      view: (reals of full size, images seen) -> reals as D sees them in its own phase.
    """

    def __init__(self, setup: TrainingSetup):
        self.setup = _recording(setup)
        self.phases = phases.build(self.setup)
        self._updates = {phase.name: compiled(phase.update) for phase in self.phases}
        self._advance = compiled(finish_step.program(self.setup))
        self.view = compiled(self.phase("d_main").view)

    def initial(self, g: Mapping[str, Any], d: Mapping[str, Any]) -> TrainState:
        """The train state before the first step, from the variables of both networks, by collection."""
        zero = jnp.zeros((), jnp.int32)
        g_state, d_state = (_network(*pair) for pair in zip((g, d), self.setup.optimizers, strict=True))
        average = Average(g_state.params, g_state.variables)
        own = {network: self._initial_records(network) for network in NETWORKS}
        return TrainState(zero, zero, g_state, d_state, average, own, controller.init(), jnp.zeros(()))

    def step(
        self,
        state: TrainState,
        feed: Feed,
        done: Callable[[Update], None],
        *,
        prepare: Callable[[Phase, TrainState], TrainState] = lambda phase, state: state,
    ) -> TrainState:
        """Runs one training step as the trainer does.

        Args:
          state: the train state.
          feed: (phase, repeat) -> its inputs.
          done: is given every update.
          prepare: makes the state before an update of that before it; for draws that networks keep as variables.
        """
        for phase in self.phases:
            if int(state.step) % phase.interval == 0:
                for repeat in range(phase.repeats):
                    update = self.update(phase, repeat, prepare(phase, state), *feed(phase, repeat))
                    done(update)
                    state = update.after
        return self._advance(state)

    def update(self, phase: Phase, repeat: int, state: TrainState, reals: Reals, inputs: PhaseInputs) -> Update:
        """Runs one update of one network."""
        after, scalars = self._updates[phase.name](state, reals, inputs)
        return Update(phase.name, repeat, state, after, scalars)

    def evaluate(self, phase: Phase, state: TrainState, reals: Reals, inputs: PhaseInputs) -> Update:
        """Computes the first round of an update without the update."""
        network = phase.name[0]
        objective = objectives.main(self.setup, network, self.setup.regularizers.of(network))
        inputs = jax.tree.map(lambda x: x[0], inputs)
        _, (after, scalars) = compiled(objective)(state.network(network).params, state, reals, inputs)
        return Update(phase.name, 0, state, after, jax.tree.map(lambda x: x[None], scalars))

    def phase(self, name: str) -> Phase:
        """One of the phases."""
        return next(phase for phase in self.phases if phase.name == name)

    def _initial_records(self, network: str) -> dict[str, dict[str, jax.Array]]:
        phase = self.phase(f"{network}_main")
        shape = jax.eval_shape(phase.draw, jax.random.key(0)).latents.z.shape[:2]
        initial = lambda name, value: jnp.zeros(shape) if name.startswith(KEPT) else jnp.asarray(value, float)
        return {
            one.name: {name: initial(name, value) for name, value in one.initial_state.items()}
            for one in self.setup.regularizers.of(network)
            if one.initial_state
        }


def in_rounds(array: np.ndarray, rounds: int) -> jax.Array:
    """[N, ...] as [rounds, N / rounds, ...]."""
    return jnp.asarray(array.reshape(rounds, array.shape[0] // rounds, *array.shape[1:]))


def _network(variables: Mapping[str, Any], optimizer: optax.GradientTransformation) -> NetworkState:
    collections = jax.tree.map(jnp.asarray, dict(variables))
    params = collections.pop("params")
    return NetworkState(params, collections, optimizer.init(params))


class _Kept(NamedTuple):
    """The gradients that an optimizer was given last, and its own state."""

    gradients: Any
    inner: Any


def keeping_gradients(optimizer: optax.GradientTransformation, factor: float = 1) -> optax.GradientTransformation:
    """Wraps an optimizer so that its state also holds the gradients that it was given last, multiplied by a factor."""

    def init(params):
        return _Kept(jax.tree.map(jnp.zeros_like, params), optimizer.init(params))

    def update(given, state, params):
        gradients = given if factor == 1 else jax.tree.map(lambda gradient: gradient * factor, given)
        updates, inner = optimizer.update(gradients, state.inner, params)
        return updates, _Kept(gradients, inner)

    return optax.GradientTransformation(init, update)


def _recording(setup: TrainingSetup) -> TrainingSetup:
    """The setup with optimizers that keep gradients, and regularizers that keep what they see."""
    regularizers = PerNetwork(*(_recorded(network, setup.regularizers.of(network)) for network in NETWORKS))
    kept = Optimizers(*map(keeping_gradients, setup.optimizers))
    return dataclasses.replace(setup, regularizers=regularizers, optimizers=kept)


def _recorded(network: str, regularizers: tuple[Regularizer, ...]) -> tuple[Regularizer, ...]:
    values: dict[str, Callable[[LossContext], Any]] = {"fake_logits": lambda context: context.fake_call.output.logits}
    if network == "d":
        values["real_logits"] = lambda context: context.real_call.output.logits
    record = Regularizer(
        name="record",
        function=lambda **found: (jnp.zeros(()), _next(found, found)),
        inputs=tuple(values.items()),
        depth=Depth.FAKE_LOGITS,
        initial_state={KEPT + name: 0.0 for name in values},
        interval=None,
    )
    return (*map(_keeping_penalty, regularizers), record)


def _keeping_penalty(one: Regularizer) -> Regularizer:
    """A regularizer that also keeps the penalty of each image."""

    @functools.wraps(one.function)
    def function(**found):
        kept = {name: found.pop(name) for name in [*found] if name.startswith(KEPT)}
        penalty, new = one.function(**found)
        return penalty, {**new, **_next(kept, {"penalty": penalty})}

    return dataclasses.replace(one, function=function, initial_state={**one.initial_state, f"{KEPT}penalty": 0.0})


def _next(kept: Mapping[str, jax.Array], values: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """What is kept [rounds, N], with the values [N] of one more round as the last row, and without the first row."""
    rows = {name: values[name.removeprefix(KEPT)] for name in kept if name.startswith(KEPT)}
    following = lambda old, row: jnp.concatenate([old[1:], jnp.broadcast_to(row, old.shape[1:])[None]])
    return {name: following(kept[name], jax.lax.stop_gradient(row)) for name, row in rows.items()}


def losses_of_each_kind(setup: TrainingSetup, real_logits: np.ndarray, fake_logits: np.ndarray) -> np.ndarray:
    """D's mean loss of reals alone and of fakes alone, [..., 2], of logits [..., N].

    The others are so far on their side that their loss is 0.
    """
    far = jnp.full(real_logits.shape[-1], 1e6, real_logits.dtype)

    def both(real: jax.Array, fake: jax.Array) -> jax.Array:
        loss = lambda *logits: jnp.mean(setup.loss.function(*logits)[0])
        return jnp.stack([loss(real, -far), loss(far, fake)])

    return np.asarray(compiled(jnp.vectorize(both, signature="(n),(n)->(m)"))(real_logits, fake_logits))


def with_config(setup: TrainingSetup, **changes: Any) -> TrainingSetup:
    """A setup whose config has other values of fields that phases read."""
    return dataclasses.replace(setup, config=dataclasses.replace(setup.config, **changes))
