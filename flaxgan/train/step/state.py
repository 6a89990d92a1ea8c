"""The train state: one pytree of arrays that holds everything that a run must not lose."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from flaxgan import prng
from flaxgan.augment import controller
from flaxgan.train.step.optimizers import Optimizers
from flaxgan.types import Gan


class NetworkState(struct.PyTreeNode):
    """One network in training.

    Attributes:
      params: trained parameters, float32.
      variables: the other Linen collections (w_avg and constant noise, running statistics, the vectors of spectral
        normalization), may be empty.
      opt_state: the optax state of `params`.
    """

    params: Any
    variables: Any
    opt_state: Any


class Average(struct.PyTreeNode):
    """The moving average of the generator, which makes the samples."""

    params: Any
    variables: Any


class TrainState(struct.PyTreeNode):
    """Everything that changes during training.

    Attributes:
      step: steps done, int32 [].
      images_seen: real images shown to the discriminator, int32 [].
      g: the generator.
      d: the discriminator.
      ema: moving average of the generator.
      regularizers: the regularizers' own state, network -> regularizer -> name -> float32 [].
      ada: state of the augmentation controller.
      input_score: moving average of D's mean logit, which the noise on its inputs follows, float32 [].
    """

    step: jax.Array
    images_seen: jax.Array
    g: NetworkState
    d: NetworkState
    ema: Average
    regularizers: dict[str, dict[str, dict[str, jax.Array]]]
    ada: controller.AdaState
    input_score: jax.Array

    @property
    def generator_variables(self) -> dict[str, Any]:
        """The variables that `gan.generator.apply` takes, in training."""
        return {"params": self.g.params, **self.g.variables}

    def network(self, name: str) -> NetworkState:
        """Returns the state of a network, "g" or "d"."""
        return self.g if name == "g" else self.d

    def with_network(self, name: str, network: NetworkState) -> "TrainState":
        """Returns the state with another state of a network, "g" or "d"."""
        return self.replace(g=network) if name == "g" else self.replace(d=network)


RegularizerState = Mapping[str, Mapping[str, Mapping[str, float]]]
"""network -> regularizer -> name -> value."""

NO_REGULARIZER_STATE: RegularizerState = {"g": {}, "d": {}}


def init(
    gan: Gan,
    optimizers: Optimizers,
    *,
    seed: int,
    augment_p: float = 0.0,
    regularizers: RegularizerState = NO_REGULARIZER_STATE,
) -> TrainState:
    """Returns the state before the first step, a pure function of its arguments.

    Args:
      gan: the networks.
      optimizers: their optimizers.
      seed: the run's seed.
      augment_p: initial probability of augmentation.
      regularizers: the regularizers' own state, see `TrainingSetup.initial_regularizer_state`.
    """
    g = _init_network(gan.generator, _example_latents(gan), optimizers.g, seed, "g_init")
    d = _init_network(gan.discriminator, _example_images(gan), optimizers.d, seed, "d_init")
    # Buffers must not be shared between g and ema: both are donated to the compiled steps.
    ema = Average(*jax.tree.map(jnp.copy, (g.params, g.variables)))
    zero = lambda: jnp.zeros((), jnp.int32)
    own = jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), dict(regularizers))
    return TrainState(zero(), zero(), g, d, ema, own, controller.init(augment_p), input_score=jnp.zeros(()))


def restart_optimizers(of: TrainState, optimizers: Optimizers) -> TrainState:
    """Returns the state with the optimizers' states as they were before training: moments and counts are 0 again."""
    g, d = (
        network.replace(opt_state=optimizer.init(network.params))
        for network, optimizer in zip((of.g, of.d), optimizers, strict=True)
    )
    return of.replace(g=g, d=d)


def _init_network(
    module: nn.Module, inputs: tuple[Any, ...], optimizer: optax.GradientTransformation, seed: int, purpose: str
) -> NetworkState:
    key = prng.purpose_key(seed, purpose)
    variables = dict(module.init({"params": key, "noise": key}, *inputs))
    params = variables.pop("params")
    return NetworkState(params, variables, optimizer.init(params))


def _example_latents(gan: Gan) -> tuple[jax.Array, jax.Array | None]:
    return jnp.zeros((1, gan.z_dim)), _example_labels(gan)


def _example_images(gan: Gan) -> tuple[jax.Array, jax.Array | None]:
    return jnp.zeros((1, *gan.image_shape)), _example_labels(gan)


def _example_labels(gan: Gan) -> jax.Array | None:
    return jnp.zeros((1,), jnp.int32) if gan.num_classes else None
