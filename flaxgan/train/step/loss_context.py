"""What one round of a phase is about: images, generated or real, and what the discriminator says of them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flaxgan import augment
from flaxgan.augment import input_noise
from flaxgan.train.step import forward
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup
from flaxgan.types import DiscriminatorOutput


class Reals(NamedTuple):
    """Real images float [N, H, W, C] in [-1, 1] and their labels int32 [N]."""

    images: jax.Array
    labels: jax.Array


class DiscriminatorCall(NamedTuple):
    """What D says of some images, and its variables after it has."""

    output: DiscriminatorOutput
    variables: Any


@dataclasses.dataclass(frozen=True)
class LossContext:
    """One round of a phase. What it holds is computed when it is asked for, and once.

    D judges the generated images first and the real ones after them, with the variables that the first left: as in a
    loop that calls D twice.

    Attributes:
      setup: the run.
      network: the network that is trained, "g" or "d".
      params: its parameters; those of the other network are the state's.
      state: the train state at the start of the round.
      reals: real images.
      inputs: random inputs of the round.
    """

    setup: TrainingSetup
    network: str
    params: Any
    state: TrainState
    reals: Reals
    inputs: PhaseInputs

    @property
    def g_params(self) -> Any:
        """Parameters of the generator."""
        return self.params if self.network == "g" else self.state.g.params

    @property
    def d_params(self) -> Any:
        """Parameters of the discriminator."""
        return self.params if self.network == "d" else self.state.d.params

    @functools.cached_property
    def growth(self) -> forward.Growth:
        """The keywords of growing networks."""
        return self.setup.stage.arguments(self.state.images_seen)

    @functools.cached_property
    def mapped(self) -> tuple[jax.Array, Any]:
        """Styles [N, L, D] and the generator's variables after mapping them; of style-based generators."""
        return forward.map_latents(self.setup.gan, self.g_params, self.state.g.variables, self.inputs.latents)

    def synthesize(self, ws: jax.Array) -> jax.Array:
        """Images of styles."""
        noise_key = self.inputs.latents.noise_key
        return forward.synthesize(self.setup.gan, self.g_params, self.mapped[1], ws, noise_key, self.growth)

    @functools.cached_property
    def fakes(self) -> forward.Generated:
        """Generated images, and the generator's variables after them."""
        if self.setup.gan.has_style:
            ws, variables = self.mapped
            return forward.Generated(self.synthesize(ws), variables)
        variables, latents = self.state.g.variables, self.inputs.latents
        return forward.generate(self.setup.gan, self.g_params, variables, latents, self.growth)

    @functools.cached_property
    def judged_fakes(self) -> DiscriminatorCall:
        """D on the generated images."""
        return self.judge_fakes(self.fakes.images, self.state.d.variables)

    @functools.cached_property
    def judged_reals(self) -> DiscriminatorCall:
        """D on the real images."""
        return self.judge_reals(self.reals.images, self.judged_fakes.variables)

    def judge_fakes(self, images: jax.Array, variables: Any) -> DiscriminatorCall:
        """D on images with the generated ones' labels, augmentation and noise."""
        inputs = self.inputs
        return self._judge(images, inputs.latents.labels, variables, inputs.fake_draws, inputs.fake_noise)

    def judge_reals(self, images: jax.Array, variables: Any) -> DiscriminatorCall:
        """D on images with the real ones' labels, augmentation and noise."""
        return self._judge(images, self.reals.labels, variables, self.inputs.real_draws, self.inputs.real_noise)

    def _judge(self, images: jax.Array, labels: jax.Array, variables: Any, draws: Any, noise: Any) -> DiscriminatorCall:
        setup = self.setup
        if setup.augment_spec is not None:
            images = augment.augment(images, draws, self.state.ada.p, setup.augment_spec)
        if setup.config.input_noise.weight:
            images = input_noise.add_noise(images, self.noise_strength, noise)
        return DiscriminatorCall(
            *forward.discriminate(setup.gan, self.d_params, variables, images, labels, self.growth)
        )

    @property
    def noise_strength(self) -> jax.Array:
        """Strength of the noise on D's inputs."""
        settings = self.setup.config.input_noise
        return input_noise.noise_strength(self.state.input_score, weight=settings.weight, threshold=settings.threshold)

    def first(self, num_images: int) -> "LossContext":
        """The scene of the first images only."""
        cut = lambda tree: jax.tree.map(lambda x: x[:num_images] if x.ndim else x, tree)
        inputs, reals = self.setup.constrain((cut(self.inputs), cut(self.reals)))
        return dataclasses.replace(self, inputs=inputs, reals=reals)

    def supply(self, d_variables: Any) -> dict[str, Callable[[], Any]]:
        """What regularizers can ask for by the names of their arguments.

        Args:
          d_variables: the variables of D where it judges images that a regularizer makes.
        """
        inputs = self.inputs
        return {
            "params": lambda: self.params,
            "z": lambda: inputs.latents.z,
            "image_noise": lambda: inputs.image_noise,
            "uniform_noise": lambda: inputs.uniform_noise,
            "interpolation": lambda: inputs.interpolation,
            "synthesize": lambda: self.synthesize,
            "ws": lambda: self.mapped[0],
            "pl_mean": lambda: self.state.pl_mean,
            "real_images": lambda: self.reals.images,
            "fake_images": lambda: jax.lax.stop_gradient(self.fakes.images),
            "real_logits": lambda: self.judged_reals.output.logits,
            "fake_logits": lambda: self.judged_fakes.output.logits,
            "fake_features": lambda: self.judged_fakes.output.features,
            "discriminate": lambda: lambda images: self.judge_reals(images, d_variables).output.logits,
            "discriminate_fakes": lambda: lambda images: self.judge_fakes(images, d_variables).output.logits,
        }


def mean_score(logits: jax.Array) -> jax.Array:
    """The mean logit, without a gradient."""
    return jnp.mean(jax.lax.stop_gradient(logits))
