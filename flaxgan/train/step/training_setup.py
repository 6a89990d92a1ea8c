"""A run as code: everything that the phases of its steps are made of."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from flaxgan import latent_prior
from flaxgan.augment import input_noise
from flaxgan.config import Config
from flaxgan.latent_prior import LatentPrior
from flaxgan.train.step import optimizers, stage_plan
from flaxgan.train.step.optimizers import Optimizers
from flaxgan.train.step.per_network import NETWORKS, PerNetwork
from flaxgan.train.step.random_inputs import LabelSampler
from flaxgan.types import Gan


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """An adversarial loss with its settings.

    Attributes:
      name: its name in a recipe.
      function: (*inputs) -> (d_loss [N], g_loss [N]).
      inputs: (name, value) of each argument of the function; `value` returns it for a `LossContext`.
    """

    name: str
    function: Callable[..., tuple[jax.Array, jax.Array]]
    inputs: tuple[tuple[str, Callable[[Any], Any]], ...]

    def __call__(self, context: Any) -> tuple[jax.Array, jax.Array]:
        """Returns (d_loss [N], g_loss [N]) of a round."""
        return self.function(*(value(context) for _, value in self.inputs))


@dataclasses.dataclass(frozen=True)
class Regularizer:
    """A regularizer of one network, with its settings.

    Attributes:
      name: its name in a recipe.
      function: (**inputs, **state) -> (penalty [N] or scalar, new state).
      inputs: (name, value) of each argument that is not state; `value` returns it for a `LossContext`.
      depth: how much of a round has to be computed for its inputs.
      initial_state: its own state before training, by name.
      interval: steps between two optimizer steps of its own; None adds it to the main loss.
      batch_shrink: it sees the first 1/batch_shrink of the images.
    """

    name: str
    function: Callable[..., tuple[jax.Array, Mapping[str, jax.Array]]]
    inputs: tuple[tuple[str, Callable[[Any], Any]], ...]
    depth: int
    initial_state: Mapping[str, float]
    interval: int | None
    batch_shrink: int = 1

    @property
    def maps_latents(self) -> bool:
        """Whether it looks at styles, so that the generator's statistics move with it."""
        return any(name == "ws" for name, _ in self.inputs)


@dataclasses.dataclass(frozen=True)
class InputNoise:
    """Noise on everything that the discriminator sees.

    Attributes:
      strength: score [] -> standard deviation [].
      update_score: (score [], mean real logit [], mean fake logit []) -> the new score [].
    """

    strength: Callable[[jax.Array], jax.Array]
    update_score: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

    def add(self, images: jax.Array, score: jax.Array, noise: jax.Array | None) -> jax.Array:
        """Returns images [N, H, W, C] with standard normal noise of their shape at the score's strength."""
        if noise is None:
            raise ValueError("noise: found None, allowed: standard normal numbers of the images' shape")
        return input_noise.add_noise(images, self.strength(score), noise)


def _identity(tree: Any) -> Any:
    return tree


@dataclasses.dataclass(frozen=True)
class TrainingSetup:
    """A recipe's names as code. `flaxgan.train.step.binding` makes it.

    Attributes:
      config: the run. Programs read its numbers; its names have become the code below.
      gan: its networks.
      optimizers: their optimizers.
      loss: the adversarial loss.
      labels: sampler of the labels of generated images.
      metric_labels: sampler of the labels of images that are generated for metrics.
      prior: distribution of the latents z.
      regularizers: those of each network, in the recipe's order.
      augment_spec: which augmentations, or None.
      input_noise: noise on the discriminator's inputs, or None.
      constrain: lays a tree of [rounds, images, ...] arrays over the devices.
      stage_number: the stage of the run that this is a setup for; its first one, unless `at` says otherwise.
    """

    config: Config
    gan: Gan
    optimizers: Optimizers
    loss: AdversarialLoss
    labels: LabelSampler
    metric_labels: LabelSampler
    prior: LatentPrior = latent_prior.NORMAL
    regularizers: PerNetwork[tuple[Regularizer, ...]] = PerNetwork((), ())
    augment_spec: Any = None
    input_noise: InputNoise | None = None
    constrain: Callable[[Any], Any] = _identity
    stage_number: int = 0

    @functools.cached_property
    def stages(self) -> tuple[stage_plan.Stage, ...]:
        """All stages of the run."""
        return stage_plan.stages(self.config, self.gan)

    @property
    def stage(self) -> stage_plan.Stage:
        """The stage that this is a setup for."""
        return self.stages[self.stage_number]

    @property
    def vector_labels(self) -> LabelSampler | None:
        """The sampler of labels where they are vectors, or None."""
        return self.labels if self.config.data.labels == "vectors" else None

    def abstract_labels(self, num_images: int, **layout: Any) -> jax.ShapeDtypeStruct:
        """Returns the labels of a batch, int32 [N] or float32 [N, K], without their values."""
        if self.vector_labels is None:
            return jax.ShapeDtypeStruct((num_images,), "int32", **layout)
        return jax.ShapeDtypeStruct((num_images, self.gan.num_classes), "float32", **layout)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return stage_plan.total_steps(self.stages)

    @property
    def initial_regularizer_state(self) -> dict[str, dict[str, dict[str, float]]]:
        """The regularizers' own state before training: network -> regularizer -> name -> value."""
        return {
            network: {one.name: dict(one.initial_state) for one in self.regularizers.of(network) if one.initial_state}
            for network in NETWORKS
        }

    def batch_size(self, network: str) -> int:
        """Returns the number of images of one update of a network, "g" or "d"."""
        if network == "g" and self.config.g_batch_size is not None:
            return self.config.g_batch_size
        return self.stage.batch_size

    def rounds(self, network: str) -> int:
        """Returns the number of rounds of gradient accumulation of a network, "g" or "d"."""
        if network == "g" and self.config.g_accumulation_rounds is not None:
            return self.config.g_accumulation_rounds
        return self.config.accumulation_rounds

    def at(self, stage_number: int) -> "TrainingSetup":
        """Returns the setup of the same run in another stage."""
        rate = self.stages[stage_number].learning_rate
        built = self.optimizers
        if rate is not None:
            built = optimizers.build_optimizers(self.config, self.gan.d_layers, learning_rate=rate)
        return dataclasses.replace(self, stage_number=stage_number, optimizers=built)
