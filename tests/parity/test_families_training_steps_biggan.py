"""BigGAN's training as in BigGAN-PyTorch, whole steps against families/training_steps_biggan.npz.

D judges fakes and reals in one pass, or with split_D the fakes first. Gradients are averages over the rounds of
accumulation, of which both networks have their own numbers. The average of G is taken of every variable.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import state_maps
import torch_biggan
from goldens import Case, Suite, nchw
from reference_training import compiled
from step_comparisons import WEIGHTS, Comparison
from training_runs import Feed, Run, Update, losses_of_each_kind, with_config

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig
from flaxgan.train.step import binding
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.phases import Phase
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import Average, NetworkState, TrainState
from flaxgan.train.step.training_setup import TrainingSetup

suite = Suite(__name__, float32=1e-4, float64=1e-6)

IMAGES = {"float32": 3e-3, "float64": 1e-6}
"""Tolerance of images in evaluation mode, which depend on running statistics."""
SINGLE_WEIGHTS = {**WEIGHTS, "float32": 1e-4}

# Options that choose what our code always does, or that change no stored number.
FIXED = {"G_shared": True, "toggle_grads": True, "ema": True, "mybn": False, "gain_scale": True, "num_G_SV_itrs": 1}
FIXED |= {"num_D_SV_itrs": 1}
WITHOUT_EFFECT = {"G_init", "D_init", "num_G_SVs", "num_D_SVs", "iterations"}
OF_NETWORKS = {"resolution", "SN_eps", "BN_eps", "D_wide", "G_ch", "D_ch", "G_attn", "D_attn", "dim_z", "hier"}
OF_NETWORKS |= {"shared_dim", "n_classes"}
OF_ADAM = {"adam_eps", *(f"{network}_{name}" for network in "GD" for name in ("lr", "B1", "B2"))}
OF_STEPS = {"batch_size", "G_batch_size", "num_D_steps", "num_D_accumulations", "num_G_accumulations", "split_D"}
OF_STEPS |= {"G_ortho", "D_ortho", "ema_decay", "ema_start"}


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind(
    "*",
    inputs=["init/*", "x", "y", "z", "gy", "test_z", "test_y"],
    notes=[
        *("source", "order", "x_rows", "itr", "ema", "buffers", "iter0/*/buffers", "grad"),
        "contrast/iter0_D0_acc0_other_split",
    ],
)
def run_steps(case: Case):
    states = {network: case.inputs(f"init/{network}/") for network in "GD"}
    setup = _setup(case)
    gan = setup.gan
    parts = {
        "G": torch_biggan.generator_parts(states["G"], gan),
        "D": torch_biggan.discriminator_parts(states["D"], gan),
    }
    maps = {network: state_maps.of_parts(parts[network], states[network]) for network in "GD"}
    g, d = (maps[network].ours(states[network]) for network in "GD")
    run, compared = Run(setup), Comparison(case, setup, maps, weights=SINGLE_WEIGHTS)
    state = start = run.initial(g, d)
    for iteration in range(case.option("config")["iterations"]):
        updates: list[Update] = []
        state = run.step(state, _feed(case, setup, iteration), updates.append)
        _compare(compared, iteration, updates)
        compared.after(iteration, state, averages={"G_ema": state.ema})
    compared.adam(state)
    for name, network in (("G", state.g), ("G_ema", state.ema)):
        case.compare(f"test_img_{name}_eval_first", _images(case, setup, network), tolerance=IMAGES)
    _compare_contrast(compared, start)


def _setup(case: Case) -> TrainingSetup:
    """What our steps are built of, for the case's options."""
    options = case.option("config")
    known = {*FIXED, *WITHOUT_EFFECT, *OF_NETWORKS, *OF_ADAM, *OF_STEPS}
    case.check(f"options are known: {sorted(set(options) ^ known)}", set(options) == known)
    case.check("the fixed options are ours", {name: options[name] for name in FIXED} == FIXED)
    networks = {name: options[name] for name in OF_NETWORKS}
    z_dim, classes = case.option("dim_z_used"), options["n_classes"]
    network = {"name": "biggan", "z_dim": z_dim, **torch_biggan.fields(networks)}
    adams = {name: _adam(case, name) for name in "GD"}
    d_rounds, g_rounds = (options[f"num_{network}_accumulations"] for network in "DG")
    batch, d_steps = options["batch_size"], options["num_D_steps"]
    config = Config(
        network=network,
        data=DataConfig(num_classes=classes),
        batch_size=batch * d_rounds,
        accumulation_rounds=d_rounds,
        g_batch_size=max(options["G_batch_size"], batch) * g_rounds,
        g_accumulation_rounds=g_rounds,
        loss="hinge",
        d_steps=d_steps,
        update_order="d_g",
        d_passes="fakes_first" if options["split_D"] else "concatenated",
        g_regularizers=_orthogonal(options["G_ortho"], embeddings=False),
        d_regularizers=_orthogonal(options["D_ortho"], embeddings=True),
        g_optimizer=adams["G"],
        d_optimizer=adams["D"],
        ema=EmaConfig(
            decay=options["ema_decay"],
            # The reference counts steps from 1.
            start_kimg=max(options["ema_start"] - 1, 0) * d_steps * d_rounds * batch / 1000,
            average_spectral=True,
        ),
    )
    return binding.build(binding.complete(config), (options["resolution"], options["resolution"], 3))


def _adam(case: Case, network: str) -> OptimizerConfig:
    options, optimizer = case.option("config"), dict(case.option("optimizer")[network])
    optimizer.pop("eps_place", None)
    rate, b1, b2 = (options[f"{network}_{name}"] for name in ("lr", "B1", "B2"))
    expected = {"type": "Adam", "lr": rate, "betas": (b1, b2), "eps": options["adam_eps"]}
    case.check(f"the optimizer of {network} is the options'", optimizer == expected)
    return OptimizerConfig(learning_rate=rate, b1=b1, b2=b2, eps=options["adam_eps"])


def _orthogonal(strength: float, *, embeddings: bool) -> dict[str, dict[str, Any]]:
    return {"orthogonal": {"weight": strength, "embeddings": embeddings}} if strength else {}


def _feed(case: Case, setup: TrainingSetup, iteration: int) -> Feed:
    """The stored inputs: chunks of reals and draws in the order of the rounds. D takes the first rows of a draw."""
    config, rounds = setup.config, {network: setup.rounds(network) for network in "gd"}
    images, labels = np.moveaxis(case.input("x")[iteration], 1, -1), case.input("y")[iteration]
    z, fake_labels = case.input("z")[iteration], case.input("gy")[iteration]
    d_rows = config.batch_size // rounds["d"]

    def feed(phase: Phase, repeat: int) -> tuple[Reals, PhaseInputs]:
        network = phase.name[0]
        first = repeat * rounds["d"] if network == "d" else config.d_steps * rounds["d"]
        rows = d_rows if network == "d" else z.shape[1]
        draws = slice(first, first + rounds[network])
        keys = jax.random.split(jax.random.key(0), rounds[network])
        latents = Latents(jnp.asarray(z[draws, :rows]), jnp.asarray(fake_labels[draws, :rows]), keys)
        chosen = np.arange(setup.batch_size(network)) % config.batch_size + repeat * config.batch_size
        return Reals(images[chosen], labels[chosen]), PhaseInputs(latents)

    return feed


def _compare(compared: Comparison, iteration: int, updates: list[Update]) -> None:
    *of_d, of_g = updates
    for number, update in enumerate(of_d):
        compared.update(update, iteration, f"D{number}")
    compared.update(of_g, iteration, "G")
    found = {
        f"D/logits_{kind}": np.stack([update.kept(f"{kind}_logits") for update in of_d]) for kind in ("fake", "real")
    }
    each = losses_of_each_kind(compared.setup, found["D/logits_real"], found["D/logits_fake"])
    found["D/loss_real"], found["D/loss_fake"] = np.moveaxis(each, -1, 0)
    found["G/loss"], found["G/logits"] = of_g.scalars["loss"], of_g.kept("fake_logits")
    totals = np.stack([update.scalars["loss"] for update in of_d])
    same = np.allclose(totals, found["D/loss_real"] + found["D/loss_fake"], rtol=1e-5)
    compared.case.check("D minimizes the sum of both losses", same)
    losses = {"D_loss_real": found["D/loss_real"], "D_loss_fake": found["D/loss_fake"], "G_loss": found["G/loss"]}
    compared.losses(iteration, {name: np.ravel(value) for name, value in losses.items()})
    for key, value in found.items():
        compared.value(f"iter{iteration}/{key}", value)


def _images(case: Case, setup: TrainingSetup, network: NetworkState | Average) -> np.ndarray:
    """The first image of the test latents in evaluation mode."""
    variables = {"params": network.params, **network.variables}
    images = compiled(setup.gan.generator.apply)(variables, case.input("test_z"), case.input("test_y"))
    return nchw(images)[:1]


def _compare_contrast(compared: Comparison, start: TrainState) -> None:
    """The other kind of passes, in the first round of the first update of D."""
    config, case = compared.setup.config, compared.case
    other = "fakes_first" if config.d_passes == "concatenated" else "concatenated"
    d_rows = config.batch_size // config.accumulation_rounds
    run = Run(with_config(compared.setup, d_passes=other, batch_size=d_rows, accumulation_rounds=1))
    reals, inputs = _feed(case, run.setup, 0)(run.phase("d_main"), 0)
    update = run.evaluate(run.phase("d_main"), start, reals, inputs)
    real_logits, fake_logits = (update.kept(f"{kind}_logits")[-1] for kind in ("real", "fake"))
    key = "contrast/iter0_D0_acc0_other_split"
    compared.value(f"{key}/loss_real_fake", losses_of_each_kind(run.setup, real_logits, fake_logits))
    compared.buffers(f"{key}/buffers/", update)
