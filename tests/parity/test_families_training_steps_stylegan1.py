"""StyleGAN's training as in the official TensorFlow code, whole steps against families/training_steps_stylegan1.npz.

The stored noise of each call takes the place of the constant noise, which is a variable of the synthesis network.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import growing_states
import growing_steps
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_training
from flax.traverse_util import unflatten_dict
from goldens import Case, Suite
from growing_steps import DRAWS, GrowingRun
from state_maps import StateMap
from step_comparisons import Comparison
from training_runs import Update, in_rounds

from flaxgan.networks import stylegan
from flaxgan.train.step import binding
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

suite = Suite(__name__, float32=1e-4, float64=1e-6)

# Of the official code.
GROUP_SIZE, FUSED_PX = 4, 128


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind(
    "*",
    inputs=["init/*", "iter?/x", "z", "z2", "mix_u", "mix_cutoff", "noise*", "init_dlatent_avg"],
    notes=growing_steps.NOTES,
)
def run_steps(case: Case):
    states = {network: case.inputs(f"init/{network}/") for network in "GD"}
    setup = _setup(case)
    resolution = setup.gan.image_shape[0]
    to_d = lambda state: {"params": growing_states.tf_discriminator(dict(state), resolution)}
    maps = {"G": StateMap(states["G"], lambda state: _generator(state, resolution)), "D": StateMap(states["D"], to_d)}
    g, d = (maps[network].ours(states[network]) for network in "GD")
    noise = _no_noise(case.option("config")["batch_size"], resolution)
    g["buffers"] = {"mapping": {"w_avg": case.input("init_dlatent_avg")}, "synthesis": noise}
    _check_mixing(case, setup)
    inputs, with_noise = functools.partial(_inputs, case), functools.partial(_with_noise, case)
    run, compared = GrowingRun(case, setup, inputs, prepared=with_noise), Comparison(case, setup, maps)
    run.compare(compared, g, d, functools.partial(_compare, compared))
    key = "contrast/iter0_D_penalty_at_native_resolution/r1_penalty"
    if key in case.arrays:
        compared.value(key, _squared_norms(setup, run.at_native_resolution(run.at(0).initial(g, d))))


def _setup(case: Case) -> TrainingSetup:
    names = "iterations", "resolution", "lr", "fmap_base", "fmap_max", "batch_size", "smoothing_kimg", "w", "z"
    more = "map_layers", "map_fmaps", "r1_gamma", "dlatent_avg_beta", "family", "seed", "lods", "style_mixing_prob"
    iterations, size, _, fmap_base, fmap_max, batch, _, w_dim, z_dim, depth, features, gamma, beta, family, *rest = (
        reference_training.entries(case.option("config"), *names, *more)
    )
    _, lods, mixing = rest
    case.check("the draws are the options'", case.input("z").shape == (iterations, 2, batch, z_dim))
    case.check("the levels are those of all iterations", len(lods) == iterations)
    case.check("the family is StyleGAN", family == "stylegan1")
    gan = stylegan.build(
        image_shape=(size, size, case.arrays["iter0/x"].shape[1]),
        num_classes=0,
        z_dim=z_dim,
        w_dim=w_dim,
        mapping_layers=depth,
        layer_features=features,
        w_avg_beta=beta,
        channel_base=2 * fmap_base,
        channel_max=fmap_max,
        mbstd_group_size=GROUP_SIZE,
        noise_mode="const",
    )
    config = growing_steps.config(
        case,
        "stylegan",
        loss="non_saturating",
        d_regularizers={"r1": {"gamma": gamma}},
        style_mixing_probability=mixing or 0.0,
    )
    return dataclasses.replace(binding.build(binding.complete(config), gan.image_shape), gan=gan)


def _generator(state: Mapping[str, Any], resolution: int) -> dict[str, Any]:
    """Our parameters of both parts of the generator, M and S."""
    of = lambda part: {name.removeprefix(part): array for name, array in state.items() if name.startswith(part)}
    synthesis, _ = growing_states.tf_synthesis(of("S/"), resolution, fused_px=FUSED_PX)
    return {"params": {"mapping": growing_states.tf_mapping(of("M/")), "synthesis": synthesis}}


def _no_noise(images: int, resolution: int) -> dict[str, Any]:
    """The variables of constant noise, but with an axis for the images of a batch: [N, H, W] of each layer."""
    return _noise_variables(lambda layer: np.zeros((images, 4 << layer // 2, 4 << layer // 2)), resolution)


def _noise_variables(noise_of_layer: Callable[[int], Any], resolution: int) -> dict[str, Any]:
    layers = range(2 * (int(math.log2(resolution)) - 1))
    names = {layer: f"b{4 << layer // 2}/layer{layer % 2}/noise_const" for layer in layers}
    return unflatten_dict({names[layer]: noise_of_layer(layer) for layer in layers}, sep="/")


def _with_noise(case: Case, phase: str, iteration: int, state: TrainState) -> TrainState:
    """The state with the stored noise of a call. Layers above the stage have none, and keep theirs."""
    old = state.g.variables["buffers"]

    def noise(layer: int) -> jax.Array:
        if f"noise{layer}" in case.arrays:
            return jnp.asarray(case.input(f"noise{layer}")[iteration, DRAWS[phase], :, 0])
        return old["synthesis"][f"b{4 << layer // 2}"][f"layer{layer % 2}"]["noise_const"]

    resolution = max(int(name.removeprefix("b")) for name in old["synthesis"])
    buffers = {**old, "synthesis": _noise_variables(noise, resolution)}
    return state.replace(g=state.g.replace(variables={**state.g.variables, "buffers": buffers}))


def _inputs(case: Case, phase: str, iteration: int) -> PhaseInputs:
    z = case.input("z")[iteration, DRAWS[phase]]
    if "z2" not in case.arrays:
        return PhaseInputs(growing_steps.latents(z))
    cutoff = np.full(len(z), case.input("mix_cutoff")[iteration, DRAWS[phase]], np.int32)
    z_mix = in_rounds(case.input("z2")[iteration, DRAWS[phase]], 1)
    return PhaseInputs(growing_steps.latents(z, z_mix=z_mix, mix_from=in_rounds(cutoff, 1)))


def _check_mixing(case: Case, setup: TrainingSetup) -> None:
    """The layers in use are those of our stages, and a cutoff lies among them where its draw says so."""
    stages = [
        position.stage for position in growing_steps.positions(case.option("config")["lods"], setup.gan.image_shape[0])
    ]
    in_use = tuple(setup.gan.generator.num_ws * (stage + 1) // len(setup.gan.stages) for stage in stages)
    case.check("the layers in use are those of the stages", in_use == case.option("cur_layers"))
    if "z2" in case.arrays:
        layers = np.asarray(in_use)[:, None]
        cutoff, is_mixed = case.input("mix_cutoff"), case.input("mix_u") < setup.config.style_mixing_probability
        fits = np.where(is_mixed, (cutoff >= 1) & (cutoff < layers), cutoff == layers)
        case.check("the cutoffs are those of the draws", bool(np.all(fits)))


def _squared_norms(setup: TrainingSetup, of_d: Update) -> np.ndarray:
    return of_d.kept("penalty", "r1")[0] / (setup.config.d_regularizers["r1"]["gamma"] / 2)


def _compare(compared: Comparison, iteration: int, of_d: Update, of_g: Update) -> None:
    (real,), (fake,), (g_fake,) = of_d.kept("real_logits"), of_d.kept("fake_logits"), of_g.kept("fake_logits")
    loss = compared.setup.loss.function
    d_loss, g_loss = loss(real, fake)[0] + of_d.kept("penalty", "r1")[0], loss(g_fake, g_fake)[1]
    compared.losses(iteration, {"D_loss": np.mean(d_loss), "G_loss": of_g.scalars["loss"][0]})
    found = {"D/scores_real": real, "D/scores_fake": fake, "D/loss_per_sample": d_loss}
    found |= {"D/r1_penalty": _squared_norms(compared.setup, of_d)}
    found |= {"G/scores_fake": g_fake, "G/loss_per_sample": g_loss}
    found |= {
        f"{name}/dlatent_avg": reference_training.w_avg(update.after) for name, update in (("D", of_d), ("G", of_g))
    }
    for key, value in found.items():
        compared.value(f"iter{iteration}/{key}", value)
