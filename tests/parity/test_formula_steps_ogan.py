"""O-GAN's steps as in its official code, from their formulas in NumPy, against the trainer's.

Both networks move once on the gradient of one sum of losses. E judges reals and fakes in calls of their own. The code
calls it on the fakes twice, once without a gradient to G: that gives the same numbers, but moves E's running
statistics, which training does not use, once more and in no defined order. Here they move once for each kind, the fakes
first, as in the trainer.
"""

import jax
import tape
from formula_runs import Draws, Pair
from formulas import Call, Expected, Networks, RmsProp
from tape import Array

from flaxgan.config import Config, EmaConfig, OptimizerConfig

SHAPE = (8, 8, 1)
Z, BATCH, ITERATIONS = 4, 4, 3
RMSPROP = {"learning_rate": 0.001, "b2": 0.99, "eps": 1e-7}
CORRELATION, POTENTIAL = 0.5, 0.25
NORM = {"momentum": 0.01, "eps": 1e-3, "unbiased": True}


def _config() -> Config:
    rmsprop = OptimizerConfig(name="rmsprop", **RMSPROP)
    correlation = {"latent_correlation": {"weight": CORRELATION}}
    return Config(
        network={"name": "ogan", "z_dim": Z, "levels": 2, "channels": 2},
        batch_size=BATCH,
        loss="wasserstein",
        g_regularizers=correlation,
        d_regularizers={**correlation, "quadratic_potential": {"weight": POTENTIAL}},
        update_order="joint",
        g_optimizer=rmsprop,
        d_optimizer=rmsprop,
        ema=EmaConfig(half_life_kimg=0.0),
    )


def _generate(call: Call, z: Array) -> Array:
    x = call.dense(z, "base").reshape(len(z.value), SHAPE[0] // 4, SHAPE[1] // 4, -1)
    x = tape.leaky_relu(call.batch_norm(x, "norm0/norm", **NORM))
    x = tape.leaky_relu(call.batch_norm(call.transposed_conv(x, "deconv1"), "norm1/norm", **NORM))
    return tape.tanh(call.transposed_conv(x, "output"))


def _encode(call: Call, images: Array) -> Array:
    x = tape.leaky_relu(call.conv(images, "conv1", 2), 0.2)
    x = tape.leaky_relu(call.batch_norm(call.conv(x, "conv2", 2), "norm2/norm", **NORM), 0.2)
    return call.dense(x.reshape(x.shape[0], -1), "features")


def _correlation(x: Array, y: Array) -> Array:
    x, y = (one - one.mean((1,), keepdims=True) for one in (x, y))
    unit = lambda one: one * (one**2).sum((1,), keepdims=True) ** -0.5
    return (unit(x) * unit(y)).sum((1,))


class Reference:
    """The iterations of the official code.

    Args:
      draws: the inputs.
      networks: what is trained.
    """

    def __init__(self, draws: Draws, networks: Networks):
        self.draws = draws
        self.networks = networks

    def __call__(self, iteration: int) -> list[Expected]:
        networks = self.networks
        z, reals = (tape.array(drawn[iteration, 0]) for drawn in (self.draws.z, self.draws.reals))
        of_g, of_e = (Call(networks.params[name], networks.variables[name]) for name in "gd")
        fakes = _generate(of_g, z)
        z_fake = _encode(of_e, fakes)
        of_constants = Call(networks.params["d"], networks.variables["d"])
        of_constants.params = of_e.params
        z_constant = _encode(of_constants, tape.array(fakes.value))
        z_real = _encode(of_e, reals)
        fake, constant, real = (features.mean((1,)) for features in (z_fake, z_constant, z_real))
        t1, t2 = real - constant, fake - constant
        potential = POTENTIAL * t1**2 / ((reals - fakes.value) ** 2).mean((1, 2, 3))
        total = (t1 + t2 - CORRELATION * _correlation(z, z_fake)).mean() + potential.mean()
        found = {name: networks.move(name, total, call) for name, call in (("g", of_g), ("d", of_e))}
        networks.variables |= {"g": of_g.variables, "d": of_e.variables}
        of_g = Expected("g", fake.mean().value, found["g"], -fake.value)
        return [of_g, Expected("d", t1.mean().value, found["d"], -fake.value, -real.value)]


def test_steps():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        pair, draws = Pair(_config(), SHAPE), Draws(ITERATIONS, 1, BATCH, Z, SHAPE)
        optimizers = {name: RmsProp(RMSPROP["learning_rate"], RMSPROP["b2"], RMSPROP["eps"]) for name in "gd"}
        networks = pair.networks(optimizers)
        pair.compare(draws, lambda phase, repeat: 0, networks, Reference(draws, networks))
