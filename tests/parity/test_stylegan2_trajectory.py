"""Whole training runs of the reference, stylegan2/trajectory.npz, through the trainer's own phases.

All that training changes is followed: gradients, parameters, Adam's moments, averages and statistics. Only the random
inputs are the file's, and the optimizers are wrapped so that they keep the gradients they are given. The reference adds
the gradients of the rounds of a batch up, where the trainer takes their mean: the wrapped optimizers see the sum, which
matters to Adam's moments and its eps alone.
"""

import collections
import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference_training as training
from goldens import Case, Suite, nchw
from training_runs import keeping_gradients

from flaxgan.convert.state_dict import from_flax
from flaxgan.ops.upfirdn import setup_filter
from flaxgan.train.step import ema, finish_step, optimizers, phases
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.phases import Phase
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import Average, NetworkState, TrainState
from flaxgan.train.step.training_setup import TrainingSetup

suite = Suite(__name__, float32=1e-4, float64=1e-6)

AT_THE_END = {"float32": 2e-5, "float64": 1e-6}
"""Tolerance of Adam's moments and the images after the last step."""

REFERENCE_NAMES = {"g_main": "Gmain", "g_path_length": "Greg", "d_main": "Dmain", "d_r1": "Dreg"}
MOMENTS = {"exp_avg": "mu", "exp_avg_sq": "nu"}
"""The reference's names of Adam's moments, and optax's."""


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=["init/*", "z", "gen_c", "real", "real_c", "pl_noise", "test_z", "test_c"])
def run_trajectory(case: Case):
    setup = training.setup(case)
    # The reference adds up the gradients of the rounds, of which the trainer takes the mean.
    wrapped = (keeping_gradients(optimizer, setup.config.accumulation_rounds) for optimizer in setup.optimizers)
    setup = dataclasses.replace(setup, optimizers=optimizers.Optimizers(*wrapped))
    run = Run(case, setup)
    _check_options(case, run)
    state = training.train_state(case, setup, prefix="init/")
    for iteration in range(case.option("iters")):
        state = run.step(state, iteration)
        if iteration == 0:
            _compare_weights(case, "iter1/", setup, state)
    for key in ("pl_mean", "ema_beta", "w_avg", *case.keys("loss/*")):
        case.compare(key, np.stack(run.history[key]))
    _compare_weights(case, "final/", setup, state)
    _compare_adam(case, setup, state)
    _compare_images(case, setup, state.ema)


class Run:
    """A run of the trainer on the inputs of a case.

    Attributes:
      phases: the trainer's phases in their order.
      history: by the golden's key, a list of what is compared with it.
    """

    def __init__(self, case: Case, setup: TrainingSetup):
        self.case = case
        self.setup = setup
        self.phases = phases.build(setup)
        self.updates = {phase.name: training.compiled(phase.update) for phase in self.phases}
        self.advance = training.compiled(finish_step.program(setup))
        self.history = collections.defaultdict(list)

    def step(self, state: TrainState, iteration: int) -> TrainState:
        """The phases that are due, and the end of the step."""
        for index, phase in enumerate(self.phases):
            if iteration % phase.interval == 0:
                state = self._update(phase, state, iteration, self._inputs(iteration, index))
        config = self.setup.config
        self.history["ema_beta"].append(ema.ema_beta(config.ema, state.images_seen, config.batch_size))
        state = self.advance(state)
        self.history["pl_mean"].append(training.pl_mean(state))
        self.history["w_avg"].append(training.w_avg(state))
        return state

    def _update(self, phase: Phase, state: TrainState, iteration: int, inputs: PhaseInputs) -> TrainState:
        reals = training.reals(self.case.input("real")[iteration], self.case.input("real_c")[iteration])
        state, scalars = self.updates[phase.name](state, reals, inputs)
        name = REFERENCE_NAMES[phase.name]
        self.history[f"loss/{name}/iter"].append(iteration)
        self.history[f"loss/{name}/value"].append(scalars["loss"])
        if iteration == 0:
            gradients = training.trained(self.setup, getattr(state, phase.name[0]).opt_state.gradients)
            cancels = name == "Dreg" and training.r1_cancels(self.setup)
            tolerance = {"float32": 4e-4 if cancels else 1e-5, "float64": 1e-6}
            training.compare_gradients(self.case, f"iter0_grad/{name}/", gradients, tolerance=tolerance)
        return state

    def _inputs(self, iteration: int, phase_index: int) -> PhaseInputs:
        """The inputs of one phase; the keys are not used, because the noise is constant."""
        rounds = self.setup.config.accumulation_rounds
        in_rounds = lambda x: jnp.asarray(x.reshape(rounds, x.shape[0] // rounds, *x.shape[1:]))
        z, labels = (in_rounds(self.case.input(key)[iteration, phase_index]) for key in ("z", "gen_c"))
        latents = Latents(z, labels, jax.random.split(jax.random.key(0), rounds))
        image_noise = self.case.input("pl_noise")[iteration]  # [rounds, N, C, H, W]
        return PhaseInputs(latents, image_noise=jnp.asarray(np.moveaxis(image_noise, 2, -1)))


def _check_options(case: Case, run: Run) -> None:
    """Options that follow from others: our phases come in the reference's order, Adam is corrected as there."""
    config = run.setup.config
    order = tuple(REFERENCE_NAMES[phase.name] for phase in run.phases)
    case.check("the phases are the reference's", case.option("phase_order") == order)
    adams = {
        "G": optimizers.lazy(config.g_optimizer, optimizers.lazy_ratio(config.g_regularizers)),
        "D": optimizers.lazy(config.d_optimizer, optimizers.lazy_ratio(config.d_regularizers)),
    }
    effective = case.option("effective_adam")
    case.check("both networks have an Adam", set(effective) == set(adams))
    for network, adam in adams.items():
        learning_rate, betas, eps = training.entries(effective[network], "lr", "betas", "eps")
        found = adam.learning_rate, adam.b1, adam.b2, adam.eps
        same = np.allclose(found, (learning_rate, *betas, eps), rtol=1e-9, atol=0)
        case.check(f"Adam of {network} is the reference's", same)


def _compare_weights(case: Case, prefix: str, setup: TrainingSetup, state: TrainState) -> None:
    """Whole states, absolutely: some weights are so large that relatively to them no update would count."""
    found = {"G": _state_dict(state.g), "D": _state_dict(state.d), "G_ema": _state_dict(state.ema)}
    filters = {"G": setup.gan.generator.synthesis, "D": setup.gan.discriminator, "G_ema": setup.gan.generator.synthesis}
    for key in case.keys(f"{prefix}*"):
        network, name = key.removeprefix(prefix).split("/")
        if name.endswith("resample_filter"):
            case.compare(key, setup_filter(filters[network].resample_filter))
            continue
        size = np.abs(case.arrays[key].astype(np.float64))
        tolerance = {"float32": 1e-5 + 1e-6 * size, "float64": 1e-7 * (1 + size)}
        case.compare(key, found[network][name], tolerance=tolerance, scale=1.0)


def _state_dict(network: NetworkState | Average) -> dict[str, np.ndarray]:
    return from_flax(network.params, network.variables.get("buffers"))


def _compare_adam(case: Case, setup: TrainingSetup, state: TrainState) -> None:
    opt_states = {"G": state.g.opt_state.inner, "D": state.d.opt_state.inner}
    for key in case.keys("final_adam/*"):
        _, network, what, *name = key.split("/")
        if what == "step":
            case.compare(key, optax.tree_utils.tree_get(opt_states[network], "count"), tolerance=0.5, scale=1.0)
        else:
            moments = training.trained(setup, optax.tree_utils.tree_get(opt_states[network], MOMENTS[what]))
            case.compare(key, moments["/".join(name)], tolerance=AT_THE_END)


def _compare_images(case: Case, setup: TrainingSetup, average: Average) -> None:
    """Images of the moving average, "test_img_ema" and, truncated, "test_img_ema_psi07"."""
    generate = functools.partial(
        training.compiled(setup.gan.generator.apply), {"params": average.params, **average.variables}
    )
    for key in case.keys("test_img_ema*"):
        psi = re.fullmatch(r"test_img_ema(?:_psi(\d)(\d*))?", key).groups(default="")
        psi = float(f"{psi[0]}.{psi[1]}0") if psi[0] else 1.0
        images = generate(case.input("test_z"), case.input("test_c"), truncation_psi=psi)
        case.compare(key, nchw(images), tolerance=AT_THE_END)
