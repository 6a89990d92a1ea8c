"""One training step of the O-GAN recipe is one gradient step on the single joint loss of the official code."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import tiny_runs

from flaxgan.config import OptimizerConfig
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding, phases, state, training_setup
from flaxgan.train.step.loss_context import Reals

SHAPE = (8, 8, 1)


def _small_setup() -> training_setup.TrainingSetup:
    """The recipe's losses and order of updates, with plain gradient descent on smaller networks."""
    config = load_recipe(f"{tiny_runs.ROOT / 'configs' / 'ogan_celeba128'}.py:tiny")
    sgd = OptimizerConfig(name="sgd", learning_rate=1.0, b1=0.0)
    network = {**config.network, "z_dim": 5, "channels": 3}
    config = dataclasses.replace(config, network=network, batch_size=6, g_optimizer=sgd, d_optimizer=sgd)
    return binding.build(config, SHAPE)


def _joint_loss(gan, g, d, params, z, real):
    """Reference: o-gan's o_gan_celeba.py: mean(t1 + t2 - 0.5 corr) + mean(qp)."""
    g_params, d_params = params
    options = {"train": True, "mutable": ["batch_stats"]}
    encode = lambda images: gan.discriminator.apply({**d, "params": d_params}, images, **options)[0].features
    fake = gan.generator.apply({**g, "params": g_params}, z, **options)[0]
    still = jax.lax.stop_gradient(fake)
    z_real, z_fake, z_still = encode(real), encode(fake), encode(still)
    t1 = jnp.mean(z_real, axis=1) - jnp.mean(z_still, axis=1)
    t2 = jnp.mean(z_fake, axis=1) - jnp.mean(z_still, axis=1)
    centred = [x - jnp.mean(x, axis=1, keepdims=True) for x in (z, z_fake)]
    norms = [jnp.sqrt(jnp.sum(x**2, axis=1)) for x in centred]
    correlation = jnp.sum(centred[0] * centred[1], axis=1) / (norms[0] * norms[1])
    potential = 0.25 * t1**2 / jnp.mean((real - still) ** 2, axis=(1, 2, 3))
    return jnp.mean(t1 + t2 - 0.5 * correlation) + jnp.mean(potential)


def _larger(start: state.TrainState) -> state.TrainState:
    """A state in which D tells reals from fakes, so that every part of the loss counts."""
    d_params = jax.tree.map(lambda leaf: 10 * leaf, start.d.params)
    return start.replace(d=start.d.replace(params=d_params))


def test_step_is_one_gradient_step_on_the_joint_loss():
    of = _small_setup()
    (phase,) = phases.build(of)
    before = jax.jit(lambda: _larger(state.init(of.gan, of.optimizers, seed=1)))()
    real = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (6, *SHAPE)), jnp.float32)
    inputs = phase.draw(jax.random.key(2))
    after, scalars = jax.jit(phase.update)(before, Reals(real, jnp.zeros(6, jnp.int32)), inputs)

    def loss(params):
        return _joint_loss(of.gan, before.g.variables, before.d.variables, params, inputs.latents.z[0], real)

    gradients = jax.jit(jax.grad(loss))((before.g.params, before.d.params))
    params = {"g": before.g.params, "d": before.d.params}
    moved = jax.tree.map(jnp.subtract, params, {"g": after.g.params, "d": after.d.params})
    # Steps are differences of parameters, which are rounded to float32; biases in front of a normalization stay.
    compare = lambda step, gradient: np.testing.assert_allclose(step, gradient, rtol=1e-3, atol=2e-6)
    jax.tree.map(compare, moved, {"g": gradients[0], "d": gradients[1]})
    assert all(np.max(np.abs(layer)) > 1e-3 for layer in (moved["g"]["base"]["kernel"], moved["d"]["conv1"]["kernel"]))
    assert set(scalars) >= {"g/loss", "d/loss", "g/latent_correlation", "d/quadratic_potential"}
