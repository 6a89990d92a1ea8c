"""Adversarial losses and regularizers against families/losses.npz, with all gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case, Suite, hwio, nhwc, oihw, run_as_program

from flaxgan.losses import adversarial, regularizers

suite = Suite(__name__, float32=2e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


ZERO_ONE = {"weight": 1.0, "fake_weight": 0.1}

LOSSES = {
    "hinge": (adversarial.hinge, {}),
    "nonsat_logistic": (adversarial.non_saturating, {}),
    "lsgan_half": (adversarial.lsgan, {}),
    "lsgan_plain": (adversarial.lsgan, {"weight": 1.0}),
    "lsgan_pggan_theano": (adversarial.lsgan, {**ZERO_ONE, "real_target": 0.0, "fake_target": 1.0}),
    "lsgan_pengge": (adversarial.lsgan, ZERO_ONE),
    "lsgan_compare_gan": (adversarial.lsgan, {"sigmoid": True}),
    "wasserstein": (adversarial.wasserstein, {}),
    "minimax_saturating": (adversarial.minimax, {}),
    "mimicry_ns": (adversarial.non_saturating, {}),
    "huangzh13_standard_half": (adversarial.non_saturating, {}),
    "relativistic_r3gan": (adversarial.relativistic, {}),
    "relativistic_average_hinge": (adversarial.relativistic_average_hinge, {}),
    "relativistic_average_logistic": (adversarial.relativistic_average, {}),
    "dual_contrastive_swapG": (adversarial.dual_contrastive, {"g_form": "swapped"}),
    "dual_contrastive_minimaxG": (adversarial.dual_contrastive, {}),
    "dual_contrastive_lucidrainsG": (adversarial.dual_contrastive, {}),
}
"""Name in the file -> (our loss, its settings)."""

D_SCALE = {"huangzh13_standard_half": 0.5}
"""Where a code's discriminator minimizes a multiple of our loss."""


@suite.kind("logits*", inputs=["real", "fake"], notes=["lecam_reg"])
def run_logits(case: Case):
    """Every loss and its gradients, in one program."""
    names = sorted({key.split("/")[0] for key in case.keys("*/*")})
    for name in names:
        case.option(name, None)  # Says where the numbers come from.

    def all_losses(real, fake):
        return {name: _loss_and_gradients(name, real[:, 0], fake[:, 0]) for name in names}

    results = run_as_program(all_losses, case.input("real"), case.input("fake"))
    for key in case.keys("*/*"):
        name, _, result = key.partition("/")
        case.compare(key, results[name][result])


def _loss_and_gradients(name: str, real, fake) -> dict[str, jax.Array]:
    """Results by key; gradients are [N, 1]."""
    function, settings = LOSSES[name]
    results = {}
    for side, network in enumerate(("D", "G")):
        scale = D_SCALE.get(name, 1) if network == "D" else 1
        mean = lambda real, fake, side=side, scale=scale: scale * jnp.mean(function(real, fake, **settings)[side])
        results[network], (by_real, by_fake) = jax.value_and_grad(mean, argnums=(0, 1))(real, fake)
        results |= {f"{network}_grad_real": by_real[:, None], f"{network}_grad_fake": by_fake[:, None]}
    return results


@suite.kind("ortho*", inputs=["W*"], notes=["note"])
def run_orthogonal(case: Case):
    """What the regularizer adds to the gradient of a weight, with the diagonal ("default") and without."""
    weights = {key.removeprefix("W"): case.input(key) for key in case.keys("W*")}
    strength = case.option("strength")

    def gradients(kernel):
        penalty = lambda kernel, **form: regularizers.orthogonal({"kernel": kernel}, weight=strength, **form)[0]
        return jax.grad(penalty)(kernel), jax.grad(lambda kernel: penalty(kernel, off_diagonal=False))(kernel)

    kernels = {number: _from_torch(value) for number, value in weights.items()}
    for number, results in run_as_program(lambda kernels: jax.tree.map(gradients, kernels), kernels).items():
        for name, gradient in zip(("ortho", "default_ortho"), results, strict=True):
            case.compare(f"{name}{number}", _to_torch(gradient))


@suite.kind("penalty*", inputs=["sd/*", "real", "fake", "alpha", "dragan_noise", "dragan_alpha"])
def run_penalties(case: Case):
    """Every penalty, and its gradient with respect to every parameter of the discriminator, in one program."""
    names = [key.removesuffix("/value") for key in case.keys("*/value")]
    settings = {name: case.option(name, {}) for name in names}
    params = {name: _from_torch(value) for name, value in case.inputs("sd/").items()}
    images = {key: jnp.asarray(nhwc(case.input(key))) for key in ("real", "fake", "dragan_noise")}
    shares = {key: jnp.asarray(case.input(key).reshape(-1)) for key in ("alpha", "dragan_alpha")}

    def all_penalties(params):
        penalties = {name: lambda params, name=name: _mean_penalty(params, name) for name in names}
        return {name: jax.value_and_grad(penalty)(params) for name, penalty in penalties.items()}

    def _mean_penalty(params, name):
        return jnp.mean(PENALTIES[name](lambda x: _discriminate(params, x), {**images, **shares}, settings[name]))

    for name, (value, gradients) in run_as_program(all_penalties, params).items():
        case.compare(f"{name}/value", value)
        largest = max(np.max(np.abs(case.arrays[key])) for key in case.keys(f"{name}/grad/*"))
        for parameter, gradient in gradients.items():
            key = f"{name}/grad/{parameter}"
            scale = max(np.max(np.abs(case.arrays[key])), 0.01 * largest)  # The last bias's gradient nearly cancels.
            case.compare(key, _to_torch(gradient), scale=scale)
    logits = {key: _discriminate(params, images[key]) for key in ("real", "fake")}
    case.compare("D_real", logits["real"][:, None])
    case.compare("D_fake", logits["fake"][:, None])
    r1, _ = regularizers.r1(lambda x: _discriminate(params, x), images["real"], gamma=2.0)
    case.compare("r1_r3gan_per_sample", r1)


def _discriminate(params, images: jax.Array) -> jax.Array:
    """Two strided convolutions, each with a leaky rectifier, summed over the pixels; a dense layer."""
    x = images
    for name in ("c1", "c2"):
        layout = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, params[f"{name}.weight"], (2, 2), [(1, 1)] * 2, dimension_numbers=layout)
        x = jax.nn.leaky_relu(x + params[f"{name}.bias"], 0.2)
    return (jnp.sum(x, axis=(1, 2)) @ params["l.weight"] + params["l.bias"])[:, 0]


def _from_torch(value):
    return jnp.asarray(hwio(value) if value.ndim == 4 else value.T)


def _to_torch(value):
    return oihw(value) if value.ndim == 4 else np.transpose(value)


def _gp(discriminate, x, *, share_of_fake=False, **settings):
    share = 1 - x["alpha"] if share_of_fake else x["alpha"]
    return regularizers.gradient_penalty(discriminate, x["real"], x["fake"], share, **settings)[0]


def _wgan_gp_loss(discriminate, x, *, share_of_fake=False):
    """D's whole loss: Wasserstein, drift and gradient penalty."""
    real = discriminate(x["real"])
    d_loss, _ = adversarial.wasserstein(real, discriminate(x["fake"]))
    return d_loss + regularizers.drift(real)[0] + _gp(discriminate, x, share_of_fake=share_of_fake)


def _r3gan_loss(discriminate, x, gamma):
    d_loss, _ = adversarial.relativistic(discriminate(x["real"]), discriminate(x["fake"]))
    r1, _ = regularizers.r1(discriminate, x["real"], gamma=gamma)
    return d_loss + r1 + regularizers.r2(discriminate, x["fake"], gamma=gamma)[0]


def _dragan(discriminate, x):
    arrays = x["real"], x["dragan_alpha"], x["dragan_noise"]
    return regularizers.dragan(discriminate, *arrays, weight=1.0)[0]


def _max_gp(discriminate, x):
    return regularizers.max_gradient_penalty(discriminate, x["real"], x["fake"], x["alpha"])[0]


PENALTIES = {
    "wgan_gp_studiogan": lambda d, x, _: _gp(d, x, weight=1.0),
    "wgan_gp_akanimax": lambda d, x, _: _gp(d, x),
    "wgan_gp_akanimax_full_D_loss": lambda d, x, _: _wgan_gp_loss(d, x),
    "wgan_gp_pggan_full_D_loss": lambda d, x, _: _wgan_gp_loss(d, x, share_of_fake=True),
    "wgan_gp_compare_gan": lambda d, x, _: _gp(d, x, weight=1.0, epsilon=1e-4, share_of_fake=True),
    "wgan_gp_one_sided": lambda d, x, _: _gp(d, x, weight=1.0, one_sided=True),
    "r1_mean": lambda d, x, _: regularizers.r1(d, x["real"], gamma=2.0)[0],
    "r2_mean": lambda d, x, _: regularizers.r2(d, x["fake"], gamma=2.0)[0],
    "r1_studiogan": lambda d, x, _: regularizers.r1(d, x["real"], gamma=1.0)[0],
    "r1_huangzh13": lambda d, x, _: regularizers.r1(d, x["real"], gamma=2.0 * len(x["real"]))[0],  # A sum.
    "dragan_studiogan": lambda d, x, _: _dragan(d, x),
    "maxgp_studiogan": lambda d, x, _: _max_gp(d, x),
    "r3gan_D": lambda d, x, options: _r3gan_loss(d, x, options["gamma"]),
}
"""Name in the file -> (discriminate, arrays, options of the case) -> penalty [N]."""
