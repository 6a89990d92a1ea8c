"""DCGAN's training as in PyTorch's example, whole steps against families/training_steps_dcgan.npz.

The reference judges reals first, then fakes, and trains G on the very same fakes: its batch normalization moves once in
an iteration, D's three times.
"""

import dataclasses

import jax
import numpy as np
import pytest
import reference_training
import state_maps
import torch_dcgan
from goldens import Case, Suite, nhwc
from step_comparisons import Comparison
from training_runs import Feed, Run, Update, in_rounds, losses_of_each_kind, with_config

from flaxgan.config import Config, OptimizerConfig
from flaxgan.train.step import binding
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.phases import Phase
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup
from flaxgan.types import Gan

suite = Suite(__name__, float32=1e-4, float64=1e-6)

NOTES = ["source", "order", "buffers", "loss", "contrast/iter0_D_concat", "ema"]


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=["init/*", "x", "z"], notes=NOTES)
def run_steps(case: Case):
    images = case.input("x")
    states = {network: case.inputs(f"init/{network}/") for network in "GD"}
    generator, g_parts = torch_dcgan.generator(states["G"], images.shape[3:])
    discriminator, d_parts = torch_dcgan.discriminator(states["D"], images.shape[3:])
    maps = {name: state_maps.of_parts(parts, states[name]) for name, parts in (("G", g_parts), ("D", d_parts))}
    g, d = (maps[name].ours(states[name]) for name in "GD")
    gan = Gan(generator, discriminator, case.input("z").shape[-1], generator.image_shape, 0)
    setup = _setup(case, gan)
    run, compared = Run(setup), Comparison(case, setup, maps)
    state = start = run.initial(g, d)
    for iteration in range(len(images)):
        updates: list[Update] = []
        state = run.step(state, _feed(case, iteration), updates.append)
        _compare(compared, iteration, updates)
        compared.after(iteration, state)
    compared.adam(state)
    _compare_contrast(compared, start, _feed(case, 0))


def _setup(case: Case, gan: Gan) -> TrainingSetup:
    """What our steps are built of, for the case's options."""
    options = case.option("config")
    iterations, learning_rate, b1, _, z_dim, g_width, d_width, batch = reference_training.entries(
        options, "iterations", "lr", "beta1", "seed", "nz", "ngf", "ndf", "batch_size"
    )
    kind, same_rate, betas, eps = reference_training.entries(case.option("optimizer"), "type", "lr", "betas", "eps")
    case.check("the optimizer is the options'", (kind, same_rate, betas[0]) == ("Adam", learning_rate, b1))
    case.check("the draws are the options'", case.input("z").shape == (iterations, batch, z_dim))
    widths = gan.generator.channels[-1], gan.discriminator.channels[0]
    case.check("the networks are the options'", widths == (g_width, d_width))
    adam = OptimizerConfig(learning_rate=learning_rate, b1=b1, b2=betas[1], eps=eps)
    config = Config(
        network={"name": "dcgan"},
        batch_size=batch,
        update_order="d_g",
        d_passes="reals_first",
        share_latents=True,
        g_optimizer=adam,
        d_optimizer=adam,
    )
    return dataclasses.replace(binding.build(binding.complete(config), gan.image_shape), gan=gan)


def _feed(case: Case, iteration: int) -> Feed:
    """The stored inputs of both phases, which share their latents."""
    z, images = case.input("z")[iteration], nhwc(case.input("x")[iteration])
    labels = np.zeros(len(z), np.int32)
    latents = Latents(in_rounds(z, 1), in_rounds(labels, 1), jax.random.split(jax.random.key(0), 1))

    def feed(phase: Phase, repeat: int) -> tuple[Reals, PhaseInputs]:
        return Reals(images, labels), PhaseInputs(latents)

    return feed


def _compare(compared: Comparison, iteration: int, updates: list[Update]) -> None:
    of_d, of_g = updates
    # The reference's G makes images once, in D's phase; ours keeps what that changes of its statistics in G's own.
    compared.update(of_d, iteration, "D", g_after=of_g)
    compared.update(of_g, iteration, "G")
    (real_logits,), (fake_logits,), (g_logits,) = (
        of_d.kept("real_logits"),
        of_d.kept("fake_logits"),
        of_g.kept("fake_logits"),
    )
    of_reals, of_fakes = losses_of_each_kind(compared.setup, real_logits, fake_logits)
    (total,), (of_generator,) = of_d.scalars["loss"], of_g.scalars["loss"]
    compared.case.check("D minimizes the sum of both losses", np.isclose(total, of_reals + of_fakes, rtol=1e-6))
    compared.losses(iteration, {"D_loss_real": of_reals, "D_loss_fake": of_fakes, "G_loss": of_generator})
    found = {"D/loss_real": of_reals, "D/loss_fake": of_fakes, "G/loss": of_generator}
    found |= {"D/prob_real": jax.nn.sigmoid(real_logits), "D/prob_fake": jax.nn.sigmoid(fake_logits)}
    found |= {"G/prob": jax.nn.sigmoid(g_logits)}
    for key, value in found.items():
        compared.value(f"iter{iteration}/{key}", value)


def _compare_contrast(compared: Comparison, start: TrainState, feed: Feed) -> None:
    """One pass of D over reals and fakes gives other numbers: those of the passes that the recipe could have."""
    run = Run(with_config(compared.setup, d_passes="concatenated"))
    phase = run.phase("d_main")
    update = run.evaluate(phase, start, *feed(phase, 0))
    (real_logits,), (fake_logits,) = update.kept("real_logits"), update.kept("fake_logits")
    key = "contrast/iter0_D_concat"
    compared.value(f"{key}/loss_real_fake", losses_of_each_kind(run.setup, real_logits, fake_logits))
    compared.buffers(f"{key}/buffers/", update)
