"""PGGAN's training as in the official TensorFlow code, whole steps against families/training_steps_pggan.npz."""

import dataclasses
import functools

import growing_states
import growing_steps
import jax
import numpy as np
import pytest
import reference_training
from goldens import Case, Suite
from growing_steps import DRAWS, GrowingRun
from state_maps import StateMap
from step_comparisons import Comparison
from training_runs import Update, in_rounds

from flaxgan.losses import regularizers
from flaxgan.networks import pggan
from flaxgan.train.step import binding
from flaxgan.train.step.per_network import PerNetwork
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.training_setup import Regularizer, TrainingSetup

suite = Suite(__name__, float32=1e-4, float64=1e-6)

# Of the official code.
DECAY, GROUP_SIZE, WEIGHT, DRIFT = 0.999, 4, 10.0, 0.001
TINY = 1e-9


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=["init/*", "iter?/x", "z", "mixing_factors"], notes=growing_steps.NOTES)
def run_steps(case: Case):
    states = {network: case.inputs(f"init/{network}/") for network in "GD"}
    setup = _setup(case)
    resolution = setup.gan.image_shape[0]
    conversions = {"G": growing_states.tf_generator, "D": growing_states.tf_discriminator}
    maps = {
        network: StateMap(states[network], lambda state, convert=convert: {"params": convert(dict(state), resolution)})
        for network, convert in conversions.items()
    }
    g, d = (maps[network].ours(states[network]) for network in "GD")
    run = GrowingRun(case, setup, functools.partial(_inputs, case), decay=DECAY)
    compared = Comparison(case, setup, maps)
    run.compare(compared, g, d, functools.partial(_compare, compared))
    key = "contrast/iter0_D_penalty_at_native_resolution/mixed_norms"
    if key in case.arrays:
        compared.value(key, _norms(run.at_native_resolution(run.at(0).initial(g, d))))


def _setup(case: Case) -> TrainingSetup:
    names = (
        "iterations",
        "resolution",
        "lr",
        "fmap_base",
        "fmap_max",
        "batch_size",
        "smoothing_kimg",
        "seed",
        "z",
        "lods",
    )
    iterations, size, _, fmap_base, fmap_max, batch, _, _, z_dim, lods, family = reference_training.entries(
        case.option("config"), *names, "family"
    )
    case.check("the draws are the options'", case.input("z").shape == (iterations, 2, batch, z_dim))
    case.check("the levels are those of all iterations", len(lods) == iterations)
    case.check(
        "the family is PGGAN, whose layers are all in use", (family, case.option("cur_layers")) == ("pggan", None)
    )
    gan = pggan.build(
        image_shape=(size, size, case.arrays["iter0/x"].shape[1]),
        num_classes=0,
        z_dim=z_dim,
        channel_base=2 * fmap_base,
        channel_max=fmap_max,
        mbstd_group_size=GROUP_SIZE,
    )
    config = growing_steps.config(
        case,
        "pggan",
        loss="wasserstein",
        d_regularizers={"gradient_penalty": {"weight": WEIGHT}, "drift": {"weight": DRIFT}},
    )
    setup = dataclasses.replace(binding.build(binding.complete(config), gan.image_shape), gan=gan)
    g, d = setup.regularizers
    return dataclasses.replace(setup, regularizers=PerNetwork(g, (*d, _excess_of_norms(d))))


def _excess_of_norms(found: tuple[Regularizer, ...]) -> Regularizer:
    """The penalty with a target near 0 and without a gradient: it only shows the norms."""
    penalty = next(one for one in found if one.name == "gradient_penalty")

    def function(**inputs):
        value, state = regularizers.gradient_penalty(**inputs, weight=TINY**2, target=TINY)
        return jax.lax.stop_gradient(value), state

    return dataclasses.replace(penalty, name="norms", function=function)


def _norms(of_d: Update) -> np.ndarray:
    return np.sqrt(of_d.kept("penalty", "norms")[0]) + TINY


def _inputs(case: Case, phase: str, iteration: int) -> PhaseInputs:
    """Our interpolation is the share of the real image, the reference's mixing factor that of the fake."""
    factors = case.input("mixing_factors")[iteration].reshape(-1)
    z = case.input("z")[iteration, DRAWS[phase]]
    return PhaseInputs(growing_steps.latents(z), interpolation=in_rounds(1 - factors, 1))


def _compare(compared: Comparison, iteration: int, of_d: Update, of_g: Update) -> None:
    (real,), (fake,), (g_fake,) = of_d.kept("real_logits"), of_d.kept("fake_logits"), of_g.kept("fake_logits")
    loss = compared.setup.loss.function
    penalties = [of_d.kept("penalty", name)[0] for name in compared.setup.config.d_regularizers]
    d_loss, g_loss = loss(real, fake)[0] + sum(penalties), loss(g_fake, g_fake)[1]
    compared.losses(iteration, {"D_loss": np.mean(d_loss), "G_loss": of_g.scalars["loss"][0]})
    found = {"D/scores_real": real, "D/scores_fake": fake, "D/loss_per_sample": d_loss, "D/mixed_norms": _norms(of_d)}
    found |= {"G/scores_fake": g_fake, "G/loss_per_sample": g_loss}
    for key, value in found.items():
        compared.value(f"iter{iteration}/{key}", value)
