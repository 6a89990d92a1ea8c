"""Whole steps of growing networks: what the stored runs of PGGAN and StyleGAN have in common.

Each iteration has a level of detail ("lods"; see `growing_kinds`), which says the stage and how far its newest block is
faded in. It becomes a position in the run: the trainer's own functions make of it the reals, the restarts and the rest.
An iteration is an update of D, the average, and an update of G.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from goldens import Case, nhwc
from reference_training import compiled
from step_comparisons import Comparison
from training_runs import Feed, Run, Update, in_rounds, with_config

from flaxgan.config import Config, EmaConfig, GrowthConfig, OptimizerConfig
from flaxgan.train.step import ema
from flaxgan.train.step import state as train_state
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.phases import Phase
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import Average, TrainState
from flaxgan.train.step.training_setup import TrainingSetup

DRAWS = {"d_main": 0, "g_main": 1}
"""Which of an iteration's draws is that of a phase."""
FADE_IMAGES = 10**8
"""A long fade, so that any level of detail is a whole number of images."""

# What the stored runs say in words, or for all of them alike.
NOTES = ["source", "layout", "order", "reals", "unused", "ema", "losses", "w_avg", "mixing", "noise"]


class Position(NamedTuple):
    """Where in a run an iteration is.

    Attributes:
      stage: the number of the stage.
      alpha: share of its newest block.
      begins: whether the iteration before was in another stage.
      completes: whether the fade has ended since the iteration before.
    """

    stage: int
    alpha: float
    begins: bool
    completes: bool


def positions(lods: tuple[float, ...], resolution: int) -> list[Position]:
    """The positions of levels of detail."""
    full = int(math.log2(resolution)) - 2
    stages = [full - math.floor(lod) for lod in lods]
    alphas = [1 - (lod - math.floor(lod)) for lod in lods]
    found = []
    for index, (stage, alpha) in enumerate(zip(stages, alphas, strict=True)):
        begins = index > 0 and stage != stages[index - 1]
        completes = index > 0 and not begins and alpha == 1 and alphas[index - 1] < 1
        found.append(Position(stage, alpha, begins, completes))
    return found


def config(case: Case, network: str, **fields: Any) -> Config:
    """The recipe of a case but for what its family adds."""
    options, optimizer = case.option("config"), case.option("optimizer")
    known = {
        "type": "Adam (TensorFlow form)",
        "lr": options["lr"],
        "betas": optimizer["betas"],
        "eps": optimizer["eps"],
    }
    case.check("the optimizer is TensorFlow's", {**known, "eps_place": optimizer["eps_place"]} == optimizer)
    b1, b2 = optimizer["betas"]
    adam = OptimizerConfig(learning_rate=options["lr"], b1=b1, b2=b2, eps=optimizer["eps"], eps_hat=True)
    growth = GrowthConfig(
        start_px=4, fade_kimg=FADE_IMAGES / 1000, stabilize_kimg=FADE_IMAGES / 1000, full_size_penalties=True
    )
    return Config(
        network={"name": network},
        batch_size=options["batch_size"],
        total_kimg=2e6,
        update_order="d_g",
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=options["smoothing_kimg"], before_g=True),
        growth=growth,
        **fields,
    )


class GrowingRun:
    """A run of the trainer at the positions of a case.

    Args:
      case: the case.
      setup: what its steps are built of, in any stage.
      inputs: (phase's name, iteration) -> its random inputs.
      prepared: (phase's name, iteration, state) -> the state with stored noise, where there is noise.
      decay: of a second average, G_ema, which is kept beside that of the setup, G_ema_halflife; None keeps none.
    """

    def __init__(
        self,
        case: Case,
        setup: TrainingSetup,
        inputs: Callable[[str, int], PhaseInputs],
        *,
        prepared: Callable[[str, int, TrainState], TrainState] = lambda name, iteration, state: state,
        decay: float | None = None,
    ):
        self.case = case
        self.setup = setup
        self._inputs = inputs
        self._prepared = prepared
        self.positions = positions(case.option("config")["lods"], setup.gan.image_shape[0])
        self._runs = {stage: Run(setup.at(stage)) for stage in {position.stage for position in self.positions}}
        half_life = {"G_ema_halflife": setup.config.ema}
        self._averages = half_life if decay is None else {**half_life, "G_ema": EmaConfig(decay=decay, before_g=True)}
        self._average_steps = {
            name: _average_step(one, setup.config.batch_size) for name, one in self._averages.items()
        }

    def at(self, iteration: int) -> Run:
        """The run in the stage of an iteration."""
        return self._runs[self.positions[iteration].stage]

    def compare(self, compared: Comparison, g: Mapping[str, Any], d: Mapping[str, Any], more: Any) -> None:
        """Runs and compares all iterations.

        Args:
          compared: takes the comparisons.
          g: the generator's variables.
          d: the discriminator's.
          more: (iteration, update of D, update of G) -> None, compares what the family has.
        """
        state = self.at(0).initial(g, d)
        on_time = dict.fromkeys(self._averages, state.ema)
        late = dict(on_time)
        restarts = [0]
        for iteration in range(len(self.positions)):
            state, restarted = self._entered(state, iteration)
            restarts += [iteration] * restarted
            updates: list[Update] = []
            after = self._step(state, iteration, updates)
            of_d, of_g = updates
            on_time = self._averaged(on_time, of_g.before)
            late = self._averaged(late, of_g.after)
            same = jax.tree.all(jax.tree.map(np.array_equal, on_time["G_ema_halflife"], after.ema))
            self.case.check(f"iteration {iteration}: the trainer's average is that before G moves", same)
            compared.update(of_d, iteration, "D")
            compared.update(of_g, iteration, "G")
            more(iteration, of_d, of_g)
            compared.after(iteration, after, averages=on_time)
            state = after
        self._compare_late(compared, late)
        compared.adam(state)
        self.case.check(
            "the optimizers restart", tuple(restarts) == self.case.option("optimizer_reset_before_iterations")
        )
        betas = {
            name: float(ema.ema_beta(one, 0, self.setup.config.batch_size)) for name, one in self._averages.items()
        }
        stored = self.case.option("ema_beta_float64")
        same = betas.keys() == stored.keys() and np.allclose(*([x[name] for name in stored] for x in (betas, stored)))
        self.case.check("the averages have the reference's betas", same)

    def at_native_resolution(self, start: TrainState) -> Update:
        """The first update of D with penalties at the stage's size, not at full size."""
        growth = {"growth": GrowthConfig(**{**vars(self.setup.config.growth), "full_size_penalties": False})}
        run = Run(with_config(self.setup.at(self.positions[0].stage), **growth))
        phase = run.phase("d_main")
        start = self._prepared("d_main", 0, self._entered(start, 0)[0])
        return run.evaluate(phase, start, *self._feed(0, start)(phase, 0))

    def _entered(self, state: TrainState, iteration: int) -> tuple[TrainState, bool]:
        """The state at the iteration's position, and whether the optimizers were restarted there."""
        position, run = self.positions[iteration], self.at(iteration)
        stage = run.setup.stage
        step = stage.first_step if position.begins else stage.faded_step + (not position.completes)
        images_seen = stage.first_image + round(position.alpha * stage.fade_images)
        state = state.replace(step=jnp.int32(step), images_seen=jnp.int32(images_seen))
        if iteration and stage.restarts_at(step):
            return train_state.restart_optimizers(state, run.setup.optimizers), True
        return state, False

    def _step(self, state: TrainState, iteration: int, updates: list[Update]) -> TrainState:
        prepare = lambda phase, state: self._prepared(phase.name, iteration, state)
        return self.at(iteration).step(state, self._feed(iteration, state), updates.append, prepare=prepare)

    def _feed(self, iteration: int, state: TrainState) -> Feed:
        images = nhwc(self.case.input(f"iter{iteration}/x"))
        factor = self.setup.gan.image_shape[0] // images.shape[1]
        whole = Reals(jnp.asarray(images.repeat(factor, 1).repeat(factor, 2)), np.zeros(len(images), np.int32))

        reals = self.at(iteration).view(whole, state.images_seen)

        def feed(phase: Phase, repeat: int) -> tuple[Reals, PhaseInputs]:
            return reals, self._inputs(phase.name, iteration)

        return feed

    def _averaged(self, averages: Mapping[str, Average], state: TrainState) -> dict[str, Average]:
        return {name: self._average_steps[name](state.replace(ema=old)) for name, old in averages.items()}

    def _compare_late(self, compared: Comparison, late: Mapping[str, Average]) -> None:
        """An average of G as it is after its update would be another."""
        for name, average in late.items():
            found = compared.state_dict("G", average)
            prefix = f"contrast/final_{name}_taken_after_G_step/"
            for key in self.case.keys(f"{prefix}*"):
                weight = key.removeprefix(prefix)
                compared.entry(key, found[weight], name=f"G/{weight}", steps=len(self.positions))


def _average_step(config: EmaConfig, batch_size: int) -> Callable[[TrainState], Average]:
    return compiled(lambda state: ema.step(config, state, batch_size).ema)


def latents(z: np.ndarray, **mixing: Any) -> Latents:
    """Latents of one round; the key is not used, because the noise is stored."""
    labels = np.zeros(len(z), np.int32)
    return Latents(in_rounds(z, 1), in_rounds(labels, 1), jax.random.split(jax.random.key(0), 1), **mixing)
