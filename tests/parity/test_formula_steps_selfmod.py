"""SELF-MOD's steps as in compare_gan, from its formulas in NumPy, against the trainer's.

Where its graph is not unrolled, an iteration makes images once. D judges reals and fakes in one pass and moves; then,
with the new D and in one pass again, G moves on the very same images. Each pass moves the vectors of spectral
normalization, which start from the input's side. Averages are of G's trained variables.
"""

import jax
import numpy as np
import tape
from formula_runs import Draws, Pair
from formulas import Adam, Call, Expected, Networks
from tape import Array

from flaxgan.config import Config, EmaConfig, OptimizerConfig

SHAPE = (4, 4, 2)
Z, BATCH, ITERATIONS, DECAY = 3, 4, 3, 0.75
ADAM = {"learning_rate": 0.002, "b1": 0.5, "b2": 0.999}
NORM = {"momentum": 0.1, "eps": 1e-3, "unbiased": False}


def _config() -> Config:
    adam = OptimizerConfig(**ADAM, eps_hat=True)
    network = {
        "name": "selfmod",
        "base": "dcgan",
        "levels": 1,
        "z_dim": Z,
        "hidden": 3,
        "g_channels": 3,
        "d_channels": 3,
    }
    return Config(
        network={**network, "norm_momentum": NORM["momentum"], "norm_eps": NORM["eps"]},
        batch_size=BATCH,
        loss="non_saturating",
        update_order="d_g",
        d_passes="concatenated",
        share_latents=True,
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(decay=DECAY),
    )


def _self_modulated(call: Call, x: Array, z: Array, path: str) -> Array:
    hidden = tape.leaky_relu(call.dense(z, f"{path}/hidden"))
    gamma, beta = (call.dense(hidden, f"{path}/{name}").reshape(len(z.value), 1, 1, -1) for name in ("gamma", "beta"))
    return call.standardized(x, path, **NORM) * gamma + beta


def _generate(call: Call, z: np.ndarray) -> Array:
    z = tape.array(z)
    x = call.dense(z, "base").reshape(len(z.value), SHAPE[0] // 2, SHAPE[1] // 2, -1)
    x = tape.leaky_relu(_self_modulated(call, x, z, "norm0/norm"))
    x = call.transposed_conv(x, "deconv1")
    x = tape.leaky_relu(_self_modulated(call, x, z, "norm1/norm"))
    return tape.tanh(call.conv(x, "output"))


def _judge(call: Call, images: Array) -> Array:
    for path, stride in (("conv1", 1), ("conv2", 2), ("conv3", 1)):
        images = tape.leaky_relu(call.conv(images, path, stride), 0.1)
    return call.dense(images.reshape(images.shape[0], -1), "head/linear").reshape(-1)


class Reference:
    """The iterations of compare_gan.

    Args:
      draws: the inputs.
      networks: what is trained.
    """

    def __init__(self, draws: Draws, networks: Networks):
        self.draws = draws
        self.networks = networks
        self.average = dict(networks.params["g"])

    def __call__(self, iteration: int) -> dict[str, Expected]:
        networks, reals = self.networks, self.draws.reals[iteration]
        of_g = Call(networks.params["g"], networks.variables["g"], from_input=True)
        fakes = _generate(of_g, self.draws.z[iteration, 0])
        of_d, real, fake = self._judge_all(reals, tape.array(fakes.value))
        d_loss = tape.softplus(-real).mean() + tape.softplus(fake).mean()
        gradients = networks.move("d", d_loss, of_d)
        expected = {"d_main": Expected(d_loss.value, gradients, fake.value, real.value)}
        _, _, fake = self._judge_all(reals, fakes)
        g_loss = tape.softplus(-fake).mean()
        networks.variables["g"] = of_g.variables
        gradients = networks.move("g", g_loss, of_g)
        for path, new in networks.params["g"].items():
            self.average[path] = DECAY * self.average[path] + (1 - DECAY) * new
        return expected | {"g_main": Expected(g_loss.value, gradients, fake.value)}

    def _judge_all(self, reals: np.ndarray, fakes: Array) -> tuple[Call, Array, Array]:
        networks = self.networks
        call = Call(networks.params["d"], networks.variables["d"], from_input=True)
        logits = _judge(call, tape.concatenate([tape.array(reals), fakes]))
        networks.variables["d"] = call.variables
        return call, logits[: len(reals)], logits[len(reals) :]


def test_steps():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        pair = Pair(_config(), SHAPE)
        draws = Draws(ITERATIONS, 1, BATCH, Z, SHAPE)
        adams = {name: Adam(ADAM["learning_rate"], ADAM["b1"], ADAM["b2"]) for name in "gd"}
        networks = pair.networks(adams)
        reference = Reference(draws, networks)
        pair.compare(draws, {"d_main": 0, "g_main": 0}, networks, reference, lambda: reference.average)
