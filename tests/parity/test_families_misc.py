"""O-GAN's joint loss, adaptive noise, generalized dropout, growth and DiffAugment against families/misc.npz."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from goldens import Case, Suite, nchw, nhwc, run_as_program

from flaxgan.augment import diffaug, input_noise
from flaxgan.config import Config, GrowthConfig
from flaxgan.losses import adversarial, regularizers
from flaxgan.nn.norms import SelfModulatedBatchNorm
from flaxgan.ops.gdrop import generalized_dropout
from flaxgan.ops.resampling import fade_reals
from flaxgan.train.step import stage_plan
from flaxgan.train.step.schedules import rampup_factor
from flaxgan.types import Gan

suite = Suite(__name__, float32=2e-5, float64=1e-6)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("ogan", inputs=["z", "x_real_nhwc", "param/*"], notes=["note"])
def run_ogan(case: Case):
    """The loss that both networks share in the reference, as the sum of what ours minimize."""
    params = {name: jnp.asarray(value) for name, value in case.inputs("param/").items()}
    g_params = {name: params.pop(name) for name in ("Wg", "bg")}
    z, reals = jnp.asarray(case.input("z")), jnp.asarray(case.input("x_real_nhwc"))
    weights = [key.removesuffix("/loss") for key in case.keys("w*/loss")]

    def everything(g_params, d_params):
        losses = {w: _ogan_losses(g_params, d_params, z, reals, float(w[1:])) for w in weights}
        return _ogan_parts(g_params, d_params, z, reals), losses

    parts, losses = run_as_program(everything, g_params, params)
    for key, value in parts.items():
        case.compare(key, value)
    for weight, (loss, gradients) in losses.items():
        case.compare(f"{weight}/loss", loss)
        for name, gradient in gradients.items():
            case.compare(f"{weight}/grad_joint/{name}", gradient)


def _generate(params, z, image_shape):
    return jnp.tanh(z @ params["Wg"] + params["bg"]).reshape(-1, *image_shape)


def _encode(params, images):
    """(features [N, Z], logits [N]) of the discriminator."""
    hidden = jax.nn.leaky_relu(images.reshape(len(images), -1) @ params["We1"] + params["be1"], 0.2)
    features = hidden @ params["We2"] + params["be2"]
    return features, -jnp.mean(features, axis=1)


def _ogan_losses(g_params, d_params, z, reals, weight):
    """(the joint loss, the gradients of G's loss and of D's)."""

    def g_loss(g_params):
        features, fake = _encode(d_params, _generate(g_params, z, reals.shape[1:]))
        _, adversarial_loss = adversarial.wasserstein(_encode(d_params, reals)[1], fake)
        return jnp.mean(adversarial_loss + regularizers.latent_correlation(z, features, weight=weight)[0])

    def d_loss(d_params):
        fakes = _generate(g_params, z, reals.shape[1:])
        (_, real), (features, fake) = _encode(d_params, reals), _encode(d_params, fakes)
        adversarial_loss, _ = adversarial.wasserstein(real, fake)
        potential, _ = regularizers.quadratic_potential(real, fake, reals, fakes)
        return jnp.mean(adversarial_loss + regularizers.latent_correlation(z, features, weight=weight)[0] + potential)

    loss, d_gradients = jax.value_and_grad(d_loss)(d_params)  # G's own term has the value 0 in the joint loss.
    return loss, {**jax.grad(g_loss)(g_params), **d_gradients}


def _ogan_parts(g_params, d_params, z, reals):
    fakes = _generate(g_params, z, reals.shape[1:])
    (real_features, real), (fake_features, fake) = _encode(d_params, reals), _encode(d_params, fakes)
    d_loss, g_loss = adversarial.wasserstein(real, fake)
    return {
        "x_fake": fakes,
        "z_real": real_features,
        "z_fake": fake_features,
        "t1": d_loss[:, None],
        "t2": (g_loss - jax.lax.stop_gradient(g_loss))[:, None],
        "z_corr": -regularizers.latent_correlation(z, fake_features, weight=1.0)[0][:, None],
        "qp": regularizers.quadratic_potential(real, fake, reals, fakes)[0],
    }


@suite.kind("ogan_smbn", inputs=["x_nhwc", "z", "moving_mean", "moving_variance", "beta*", "gamma*"])
def run_ogan_self_modulation(case: Case):
    """Keras' momentum 0.99 is our 0.01; its scale is 1 + gamma(z), and ours has the 1 in the bias."""
    x, z = jnp.asarray(case.input("x_nhwc")), jnp.asarray(case.input("z"))
    layers = {"gamma_hidden": "gamma0", "gamma": "gamma1", "beta_hidden": "beta0", "beta": "beta1"}
    params = {
        ours: {"kernel": case.input(f"{name}_w"), "bias": case.input(f"{name}_b") + (ours == "gamma")}
        for ours, name in layers.items()
    }
    statistics = {"mean": case.input("moving_mean"), "var": case.input("moving_variance")}
    variables = jax.tree.map(jnp.asarray, {"params": params, "batch_stats": statistics})
    hidden = params["gamma_hidden"]["bias"].size

    def run(variables, unbiased):
        layer = SelfModulatedBatchNorm(hidden, shared_hidden=False, momentum=0.01, unbiased=unbiased)
        y, updated = layer.apply(variables, x, z, train=True, mutable=["batch_stats"])
        return y, updated["batch_stats"], layer.apply(variables, x, z)

    biased, unbiased = run_as_program(lambda variables: [run(variables, form) for form in (False, True)], variables)
    case.compare("train", biased[0])
    case.compare("eval", biased[2])
    case.compare("moving_mean_after", biased[1]["mean"])
    case.compare("moving_variance_after_biased", biased[1]["var"])
    case.compare("moving_variance_after_fused", unbiased[1]["var"])


NOISE_RULES = {
    "article_fake": ("d_fake", True, False),
    "article_fake_noclip": ("d_fake", False, False),
    "theano": ("d_loss", True, False),
    "pengge_train": ("d_real", True, True),
    "pengge_no_tanh": ("d_real", False, True),
}
"""Rule -> (which number it follows, whether that is clipped, whether the strength is computed before the update)."""


@suite.kind("adaptive_noise", inputs=["d_fake", "d_real", "d_loss"])
def run_adaptive_noise(case: Case):
    sequences = {name: jnp.mean(case.input(name), axis=1) for name in ("d_fake", "d_real", "d_loss")}
    rules = [key.removesuffix("/ema") for key in case.keys("*/ema")]
    for rule in rules:
        source, clip, before = NOISE_RULES[rule]
        scores = [jnp.zeros((), case.dtype)]
        for mean in sequences[source]:
            scores.append(input_noise.update_score(scores[-1], mean, clip=clip))
        scores = jnp.stack(scores[:-1] if before else scores[1:])
        case.compare(f"{rule}/ema", scores)
        case.compare(f"{rule}/strength", input_noise.noise_strength(scores))


@suite.kind("gdrop", inputs=["x", "normal", "strength"])
def run_generalized_dropout(case: Case):
    noise = case.input("normal")[:, :, 0, 0]
    x = jnp.asarray(nhwc(case.input("x")))
    case.compare("out", nchw(generalized_dropout(x, jnp.asarray(noise), case.input("strength"))))


@suite.kind("pggan_schedule", inputs=["kimg", "reals"])
def run_growth(case: Case):
    """The official schedule counts levels of detail that are left: 0 is full size."""
    kimg = case.input("kimg").astype(np.float64)
    case.compare("lod_tf", _levels_left(case, kimg))
    case.compare("lod_theano", _levels_left(case, kimg))
    for key in case.keys("lr_rampup*"):
        rampup_kimg = float(key.removeprefix("lr_rampup"))
        case.compare(key, rampup_factor(jnp.asarray(case.input("kimg")), rampup_kimg=rampup_kimg))
    reals = jnp.asarray(nhwc(case.input("reals")))
    for key in case.keys("faded_reals_lodfrac*"):
        fraction = float(key.removeprefix("faded_reals_lodfrac"))
        case.compare(key, nchw(fade_reals(reals, 1 - fraction)))


def _levels_left(case: Case, kimg: np.ndarray) -> list[float]:
    """Stages to come and the share of the present one that is not yet blended in, after so many images one by one."""
    final, levels = case.option("final_log2"), case.option("initial_lod")
    sizes = tuple((2**log2, 2**log2) for log2 in range(case.option("first_log2"), final + 1))
    gan = Gan(nn.Module(), nn.Module(), 1, (*sizes[-1], 3), 0, stages=sizes)
    config = Config(
        network={"name": "growing"},
        batch_size=1,
        total_kimg=2 * float(np.max(kimg)) + 1,
        growth=GrowthConfig(
            start_px=2 ** (final - levels),
            fade_kimg=float(case.option("transition_kimg")),
            stabilize_kimg=float(case.option("training_kimg")),
        ),
    )
    planned = stage_plan.stages(config, gan)
    images = [round(1000 * float(k)) for k in kimg]
    stages = [planned[stage_plan.number_at(planned, count)] for count in images]
    left = [len(sizes) - 1 - stage.network_stage for stage in stages]
    return [n + 1 - float(stage.alpha(count)) for n, stage, count in zip(left, stages, images, strict=True)]


@suite.kind("diffaug", inputs=["x", "cot", "u/*"], notes=["note"])
def run_diffaug(case: Case):
    u = {name: jnp.asarray(value) for name, value in case.inputs("u/").items()}
    colour = [u[name].reshape(-1) for name in ("brightness", "saturation", "contrast")]
    pairs = [jnp.stack([u[f"{name}_x"], u[f"{name}_y"]], axis=1) for name in ("translation", "cutout")]
    draws = diffaug.Draws(*colour, *pairs)
    functions = {
        "brightness": lambda x: diffaug.adjust_brightness(x, draws.brightness),
        "saturation": lambda x: diffaug.adjust_saturation(x, draws.saturation),
        "contrast": lambda x: diffaug.adjust_contrast(x, draws.contrast),
        "translation": lambda x: diffaug.translate(x, draws.translation),
        "cutout": lambda x: diffaug.cut_out(x, draws.cutout),
        "all": lambda x: diffaug.augment(x, draws),
    }
    x, cot = jnp.asarray(nhwc(case.input("x"))), jnp.asarray(nhwc(case.input("cot")))

    def with_gradient(function):
        return function(x), jax.grad(lambda x: jnp.sum(function(x) * cot))(x)

    results = run_as_program(lambda: {name: with_gradient(function) for name, function in functions.items()})
    for name, (y, gradient) in results.items():
        case.compare(name, nchw(y))
        case.compare(f"{name}_grad_x", nchw(gradient))
    sides = x.shape[1:3]
    case.compare_option("translation_ranges", [diffaug.translation_range(side) for side in sides])
    case.compare_option("cutout_ranges", [diffaug.cutout_range(side) for side in sides])
