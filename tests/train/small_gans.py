"""Two families of dense layers, one with styles and one without, for tests of the trainer that need no images."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flaxgan.config import Config, DataConfig, OptimizerConfig
from flaxgan.train.step import binding, optimizers, state, training_setup
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.random_inputs import label_sampler
from flaxgan.types import DiscriminatorOutput, Gan

IMAGE_SHAPE = (4, 4, 1)
BATCH_SIZE = 8
SEED = 3


class PlainGenerator(nn.Module):
    """One call from z to images; counts its calls in training."""

    @nn.compact
    def __call__(self, z, labels=None, *, train: bool = False):
        calls = self.variable("counts", "calls", jnp.zeros, (), jnp.int32)
        if train and not self.is_initializing():
            calls.value += 1
        return jnp.tanh(nn.Dense(16)(nn.relu(nn.Dense(8)(z)))).reshape(-1, *IMAGE_SHAPE)


class StyleGenerator(nn.Module):
    """A mapping with w_avg, and a synthesis of three styles with noise."""

    num_ws: int = 3

    def setup(self):
        self.mapping = nn.Dense(6)
        self.layers = [nn.Dense(16) for _ in range(self.num_ws)]
        self.w_avg = self.variable("buffers", "w_avg", jnp.zeros, (6,))

    def __call__(self, z, labels=None, *, train: bool = False):
        return self.synthesize(self.map(z, labels, train=train))

    def map(self, z, labels=None, *, train: bool = False):
        w = jnp.tanh(self.mapping(z))
        if train and not self.is_initializing():
            self.w_avg.value = 0.5 * (self.w_avg.value + w.mean(axis=0))
        return jnp.broadcast_to(w[:, None], (w.shape[0], self.num_ws, 6))

    def synthesize(self, ws):
        x = sum(layer(ws[:, index]) for index, layer in enumerate(self.layers))
        return (jnp.tanh(x) + 0.01 * jax.random.normal(self.make_rng("noise"), x.shape)).reshape(-1, *IMAGE_SHAPE)


class SmallDiscriminator(nn.Module):
    """Two dense layers."""

    @nn.compact
    def __call__(self, images, labels=None, *, train: bool = False):
        hidden = jnp.tanh(nn.Dense(8, name="first")(images.reshape(images.shape[0], -1)))
        return DiscriminatorOutput(nn.Dense(1, name="last")(hidden)[:, 0])


def gan(*, style: bool = True) -> Gan:
    generator = StyleGenerator() if style else PlainGenerator()
    return Gan(generator, SmallDiscriminator(), 5, IMAGE_SHAPE, 0, ("first", "last"))


def config(**fields) -> Config:
    """A config for these networks. Its `network` is only a name that passes the checks."""
    adam = OptimizerConfig(learning_rate=0.01)
    data = DataConfig(source="synthetic", resolution=4, channels=1)
    default = {"network": {"name": "stylegan2"}, "data": data, "batch_size": BATCH_SIZE, "seed": SEED}
    return binding.complete(Config(**{**default, "g_optimizer": adam, "d_optimizer": adam, **fields}))


def setup_of(*, style: bool = True, optimizer=None, **fields) -> training_setup.TrainingSetup:
    """A setup for these networks.

    Args:
      style: whether the generator has styles.
      optimizer: for both networks, instead of the config's.
      **fields: of the config.
    """
    chosen, networks = config(**fields), gan(style=style)
    built = (
        optimizers.build_optimizers(chosen, networks.d_layers)
        if optimizer is None
        else optimizers.Optimizers(optimizer, optimizer)
    )
    return training_setup.TrainingSetup(
        chosen,
        networks,
        built,
        loss=binding.bind_loss(chosen, networks),
        labels=label_sampler(None),
        metric_labels=label_sampler(None),
        prior=binding.bind_prior(chosen.latent),
        regularizers=binding.bind_regularizers(chosen, networks),
        input_noise=binding.bind_input_noise(chosen.input_noise),
    )


def init(of: training_setup.TrainingSetup) -> state.TrainState:
    return state.init(of.gan, of.optimizers, seed=SEED, regularizers=of.initial_regularizer_state)


def with_loss(of: training_setup.TrainingSetup, function) -> training_setup.TrainingSetup:
    """The same setup with another function (real_logits, fake_logits) -> (d_loss, g_loss)."""
    return dataclasses.replace(of, loss=dataclasses.replace(of.loss, function=function))


def with_pl_mean(of: state.TrainState, value: float) -> state.TrainState:
    """The state of a run with path length regularization, with another mean."""
    own = {**of.regularizers["g"], "path_length": {"pl_mean": jnp.float32(value)}}
    return of.replace(regularizers={**of.regularizers, "g": own})


def pl_mean(of: state.TrainState) -> jax.Array:
    return of.regularizers["g"]["path_length"]["pl_mean"]


def reals(seed: int = 0, num_images: int = BATCH_SIZE) -> Reals:
    """Images between -1 and 1 that are brighter than the generator's first ones."""
    images = np.random.default_rng(seed).uniform(0, 1, (num_images, *IMAGE_SHAPE))
    return Reals(jnp.asarray(images, jnp.float32), jnp.zeros(num_images, jnp.int32))


def batch(seed: int = 0) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    images, flip = rng.integers(0, 256, (BATCH_SIZE, *IMAGE_SHAPE), np.uint8), rng.integers(0, 2, BATCH_SIZE) == 1
    return {"images": jnp.asarray(images), "labels": jnp.zeros(BATCH_SIZE, jnp.int32), "flip": jnp.asarray(flip)}


def moved(before, after) -> dict[str, np.ndarray]:
    """What was added to each array of a tree."""
    return jax.tree.map(lambda old, new: np.asarray(new, np.float64) - np.asarray(old, np.float64), before, after)


def replace_config(of: training_setup.TrainingSetup, **fields) -> training_setup.TrainingSetup:
    """The same setup with other fields of the config; networks and optimizers stay."""
    chosen = dataclasses.replace(of.config, **fields)
    return dataclasses.replace(of, config=chosen, input_noise=binding.bind_input_noise(chosen.input_noise))
