"""StyleGAN2's losses against stylegan2/losses.npz: the trainer's own terms, with the gradient of every parameter.

Gradients are compared relative to the largest gradient of their phase.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_training as training
from goldens import Case, Suite, nchw, nhwc

from flaxgan import augment
from flaxgan.losses.penalties import input_gradient_penalty, path_length_penalty
from flaxgan.train.step import forward, objectives
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

suite = Suite(__name__, float32=3e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=["G/*", "D/*", "z", "gen_c", "real", "real_c", "pl_noise", "pl_mean", "mix/z2", "mix/cutoff"])
def run_losses(case: Case):
    setup, pl_mean = training.setup(case), case.input("pl_mean")
    case.check("both pl_mean are the same", np.isclose(case.option("pl_mean", pl_mean), pl_mean, rtol=1e-6))
    state = training.train_state(case, setup, pl_mean=pl_mean)
    reals = training.reals(case.input("real"), case.input("real_c"))
    latents = training.latents(case.input("z"), case.input("gen_c"))
    inputs = PhaseInputs(latents, image_noise=jnp.asarray(nhwc(case.input("pl_noise"))))
    case.check("batch is the number of images", case.option("batch") == len(latents.z) == len(reals.images))

    _compare_generated(case, setup, state, latents)
    percentile = case.option("aug_p", None)
    for key in case.keys("*/loss"):
        phase = key.removesuffix("/loss")
        of_phase = _augmented(setup, inputs, percentile) if phase.endswith("_aug") else (setup, inputs)
        _compare_phase(case, phase, *of_phase, state, reals)


def _compare_generated(case: Case, setup: TrainingSetup, state: TrainState, latents: Latents) -> None:
    """Styles and images, of one latent for each image and of two that are mixed."""
    generate = training.compiled(functools.partial(_generate, setup))
    ws, images, _ = generate(state, latents)
    case.compare("gen_ws", ws)
    case.compare("gen_img", nchw(images))
    if "mix/ws" not in case.arrays:
        return
    crossover = jnp.full(len(latents.z), case.input("mix/cutoff"))
    ws, images, w_avg = generate(state, latents.replace(z_mix=case.input("mix/z2"), mix_from=crossover))
    case.compare("mix/ws", ws)
    case.compare("mix/img", nchw(images))
    case.compare("mix/w_avg_after", w_avg)


def _generate(setup: TrainingSetup, state: TrainState, latents: Latents) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(ws, images, the updated w_avg)"""
    ws, variables = forward.map_latents(setup.gan, state.g.params, state.g.variables, latents)
    images = forward.synthesize(setup.gan, state.g.params, variables, ws, latents.noise_key)
    return ws, images, variables["buffers"]["mapping"]["w_avg"]


def _augmented(setup: TrainingSetup, inputs: PhaseInputs, percentile: float) -> tuple[TrainingSetup, PhaseInputs]:
    """The same with every augmentation of the pipe at this percentile."""
    spec = augment.preset("bgc")
    draws = augment.percentile_draws(percentile, spec, len(inputs.latents.z))
    return dataclasses.replace(setup, augment_spec=spec), inputs.replace(fake_draws=draws, real_draws=draws)


def _compare_phase(
    case: Case, phase: str, setup: TrainingSetup, inputs: PhaseInputs, state: TrainState, reals: Reals
) -> None:
    """The loss, everything on the way to it, and its gradients."""
    network, evaluate = PHASES[phase.removesuffix("_aug")]
    evaluate_with_gradients = training.compiled(jax.value_and_grad(functools.partial(evaluate, setup), has_aux=True))
    (loss, results), gradients = evaluate_with_gradients(getattr(state, network).params, state, reals, inputs)
    results = {**results, "loss": loss}
    for key in case.keys(f"{phase}/*"):
        case.compare(key, results[key.removeprefix(f"{phase}/")])
    cancels = phase.startswith("Dr1") and training.r1_cancels(setup)
    tolerance = {"float32": 2e-4 if cancels else 1e-5, "float64": 1e-6}
    training.compare_gradients(case, f"grad/{phase}/", training.trained(setup, gradients), tolerance=tolerance)
    zeros = {*case.option(f"zero_grads_{phase}", ()), *case.option("none_grads", {}).get(phase, ())}
    case.check(
        f"{phase}: what is said to have no gradient is stored as 0",
        not any(np.any(case.arrays[f"grad/{phase}/{name}"]) for name in zeros),
    )


def _g_main(setup: TrainingSetup, params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs):
    loss, state, judged = _play(setup, "g", params, state, reals, inputs)
    results = {"logits_fake": judged["fake"], "loss_per_sample": judged["g_loss"]}
    return loss, {**_columns(results), "w_avg_after": training.w_avg(state)}


def _d_main(setup: TrainingSetup, params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs):
    loss, state, judged = _play(setup, "d", params, state, reals, inputs)
    results = {"logits_fake": judged["fake"], "logits_real": judged["real"], "loss_per_sample": judged["d_loss"]}
    return loss, {**_columns(results), "w_avg_after": training.w_avg(state)}


def _play(setup: TrainingSetup, network: str, *arguments: Any) -> tuple[jax.Array, TrainState, dict[str, jax.Array]]:
    """A network's adversarial loss and state, with the logits that it judges by and the loss of each image."""
    judged = {}

    def watched_loss(real, fake):
        d_loss, g_loss = setup.loss.function(real, fake)
        judged.update(real=real, fake=fake, d_loss=d_loss, g_loss=g_loss)
        return d_loss, g_loss

    watched = dataclasses.replace(setup, loss=dataclasses.replace(setup.loss, function=watched_loss))
    loss, (state, _) = objectives.main(watched, network)(*arguments)
    return loss, state, judged


def _columns(results: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The reference keeps logits and losses as [N, 1]."""
    return {name: value[:, None] for name, value in results.items()}


def _path_length(setup: TrainingSetup, params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs):
    """The trainer's term; and, on the same images, the penalty of the library with what it is computed from."""
    loss, (after, _) = objectives.regularizer(setup, "g", setup.regularizers.g[0])(params, state, reals, inputs)
    noise = inputs.image_noise
    latents = inputs.latents.replace(z=inputs.latents.z[: len(noise)], labels=inputs.latents.labels[: len(noise)])
    ws, variables = forward.map_latents(setup.gan, params, state.g.variables, latents)
    synthesize = lambda ws: forward.synthesize(setup.gan, params, variables, ws, latents.noise_key)
    decay = setup.config.g_regularizers["path_length"]["decay"]
    penalty, _, lengths = path_length_penalty(synthesize, ws, noise, training.pl_mean(state), decay=decay)
    (pl_grads,) = jax.vjp(synthesize, ws)[1](noise / np.sqrt(noise.shape[1] * noise.shape[2]))
    results = {"pl_grads": pl_grads, "pl_lengths": lengths, "pl_penalty_per_sample": penalty}
    return loss, {**results, "pl_mean_after": training.pl_mean(after), "w_avg_after": training.w_avg(after)}


def _r1(setup: TrainingSetup, params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs):
    """The trainer's term; and, on the same images, the penalty of the library with what it is computed from."""
    loss, _ = objectives.regularizer(setup, "d", setup.regularizers.d[0])(params, state, reals, inputs)

    def discriminate(images):
        if setup.augment_spec is not None:
            images = augment.augment(images, inputs.real_draws, state.ada.p, setup.augment_spec)
        return forward.discriminate(setup.gan, params, state.d.variables, images, reals.labels)[0].logits

    logits, pullback = jax.vjp(discriminate, reals.images)
    (r1_grads,) = pullback(jnp.ones_like(logits))
    penalty = input_gradient_penalty(discriminate, reals.images)
    r1_grads = jnp.moveaxis(r1_grads, -1, 1)
    return loss, {"r1_grads": r1_grads, "r1_penalty_per_sample": penalty, "logits_real": logits[:, None]}


PHASES = {"Gmain": ("g", _g_main), "Gpl": ("g", _path_length), "Dmain": ("d", _d_main), "Dr1": ("d", _r1)}
"""Phase -> (the network it trains, (setup, params, state, reals, inputs) -> (loss, results by key))."""
