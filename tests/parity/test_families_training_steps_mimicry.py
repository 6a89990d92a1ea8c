"""SNGAN's and projection cGAN's training as in mimicry, whole steps against families/training_steps_mimicry.npz.

Several updates of D on new reals and fakes, each of which judges the reals first; then one of G. The learning rates
fall from step to step. Every call moves the vectors of spectral normalization and the running statistics.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_training
import state_maps
import torch_mimicry
from goldens import Case, Suite
from step_comparisons import Comparison
from training_runs import Feed, Run, Update, in_rounds, with_config

from flaxgan.config import Config, DataConfig, OptimizerConfig
from flaxgan.train.step import binding, optimizers
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.phases import Phase
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup
from flaxgan.types import Gan

suite = Suite(__name__, float32=1e-4, float64=1e-6)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind(
    "*",
    inputs=["init/*", "x", "y", "z", "gy"],
    notes=["source", "order", "lr", "z", "buffers", "contrast", "ema"],
)
def run_steps(case: Case):
    images = case.input("x")
    states = {network: case.inputs(f"init/{network}/") for network in "GD"}
    generator, g_parts = torch_mimicry.generator(states["G"], images.shape[4:])
    discriminator, d_parts = torch_mimicry.discriminator(states["D"], images.shape[4:])
    maps = {name: state_maps.of_parts(parts, states[name]) for name, parts in (("G", g_parts), ("D", d_parts))}
    g, d = (maps[name].ours(states[name]) for name in "GD")
    gan = Gan(generator, discriminator, case.input("z").shape[-1], generator.image_shape, discriminator.num_classes)
    setup = _setup(case, gan)
    run, compared = Run(setup), Comparison(case, setup, maps)
    state = start = run.initial(g, d)
    rates = []
    for iteration in range(len(images)):
        rates.append(_learning_rates(setup, state))
        updates: list[Update] = []
        state = run.step(state, _feed(case, iteration), updates.append)
        _compare(compared, iteration, updates)
        compared.after(iteration, state)
    compared.adam(state)
    case.compare_option("lr_D_G_used_float64", rates, tolerance=1e-6)
    _compare_contrast(compared, start, _feed(case, 0))


def _setup(case: Case, gan: Gan) -> TrainingSetup:
    """What our steps are built of, for the case's options."""
    names = "iterations", "lr_D", "lr_G", "betas", "lr_decay", "seed", "classes", "nz", "ngf", "ndf", "batch_size"
    options = case.option("config")
    iterations, d_rate, g_rate, betas, decay, _, classes, z_dim, g_width, d_width, batch, d_steps, num_steps = (
        reference_training.entries(options, *names, "n_dis", "num_steps")
    )
    adam = {"type": "Adam", "betas": betas, "eps": case.option("optimizer")["eps"], "lr_D": d_rate, "lr_G": g_rate}
    case.check("the optimizer is the options'", case.option("optimizer") == adam)
    case.check("the draws are the options'", case.input("z").shape == (iterations, d_steps + 1, batch, z_dim))
    widths = gan.generator.channels[0], gan.discriminator.channels[-1], gan.num_classes
    case.check("the networks are the options'", widths == (g_width, d_width, classes))
    shared = {"b1": betas[0], "b2": betas[1], "eps": adam["eps"], "decay": decay or "none"}
    config = Config(
        network={"name": "resnet"},
        data=DataConfig(num_classes=classes),
        batch_size=batch,
        loss="hinge",
        d_steps=d_steps,
        update_order="d_g",
        d_passes="reals_first",
        g_optimizer=OptimizerConfig(learning_rate=g_rate, **shared),
        d_optimizer=OptimizerConfig(learning_rate=d_rate, **shared),
        total_kimg=num_steps * d_steps * batch / 1000,
    )
    return dataclasses.replace(binding.build(binding.complete(config), gan.image_shape), gan=gan)


def _learning_rates(setup: TrainingSetup, state: TrainState) -> list[float]:
    """The rates of D and G in the next step."""
    config = setup.config
    scale = lambda one: optimizers.scaler(one, config.total_kimg)(jnp.asarray(one.learning_rate), state.images_seen)
    return [float(scale(one)) for one in (config.d_optimizer, config.g_optimizer)]


def _feed(case: Case, iteration: int) -> Feed:
    """The stored inputs: a draw for each update of D, and the last one for that of G."""
    z, images = case.input("z")[iteration], nhwc_of_each(case.input("x")[iteration])
    real_labels, fake_labels = (case.optional_input(key) for key in ("y", "gy"))
    of_iteration = lambda labels, count: np.zeros((count, z.shape[1]), int) if labels is None else labels[iteration]
    real_labels, fake_labels = of_iteration(real_labels, len(images)), of_iteration(fake_labels, len(z))

    def feed(phase: Phase, repeat: int) -> tuple[Reals, PhaseInputs]:
        draw = repeat if phase.name == "d_main" else -1
        key = jax.random.split(jax.random.key(0), 1)
        latents = Latents(in_rounds(z[draw], 1), in_rounds(fake_labels[draw], 1), key)
        return Reals(images[draw], real_labels[draw]), PhaseInputs(latents)

    return feed


def nhwc_of_each(images: np.ndarray) -> np.ndarray:
    """[D steps, N, C, H, W] as [D steps, N, H, W, C]."""
    return np.moveaxis(images, 2, -1)


def _compare(compared: Comparison, iteration: int, updates: list[Update]) -> None:
    *of_d, of_g = updates
    for number, update in enumerate(of_d):
        compared.update(update, iteration, f"D{number}")
    compared.update(of_g, iteration, "G")
    d_losses = np.concatenate([update.scalars["loss"] for update in of_d])
    (g_loss,), (g_logits,) = of_g.scalars["loss"], of_g.kept("fake_logits")
    compared.losses(iteration, {"D_loss": d_losses, "G_loss": g_loss})
    found = {"D/loss": d_losses, "G/loss": g_loss, "G/logits": g_logits}
    for name in ("real", "fake"):
        found[f"D/logits_{name}"] = np.concatenate([update.kept(f"{name}_logits") for update in of_d])
    for key, value in found.items():
        compared.value(f"iter{iteration}/{key}", value)


def _compare_contrast(compared: Comparison, start: TrainState, feed: Feed) -> None:
    """Other passes of D give other numbers: those that the reference would have with them."""
    for passes, name in (("concatenated", "concat_real_fake"), ("fakes_first", "fake_then_real")):
        run, key = Run(with_config(compared.setup, d_passes=passes)), f"contrast/iter0_D0_{name}"
        phase = run.phase("d_main")
        update = run.evaluate(phase, start, *feed(phase, 0))
        compared.value(f"{key}/loss", update.scalars["loss"][0])
        compared.buffers(f"{key}/buffers/", update)
        if f"{key}/logits" in compared.case.arrays:
            logits = np.concatenate([update.kept(f"{kind}_logits")[0] for kind in ("real", "fake")])
            compared.value(f"{key}/logits", logits[:, None])
