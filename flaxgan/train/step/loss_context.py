"""One round of a phase: images, generated and real, and what the discriminator says of them."""

import dataclasses
import enum
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flaxgan import augment
from flaxgan.train.step import forward
from flaxgan.train.step.forward import Generated, Growth
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup
from flaxgan.types import DiscriminatorOutput


class Reals(NamedTuple):
    """Real images float [N, H, W, C] in [-1, 1] and their labels int32 [N]."""

    images: jax.Array
    labels: jax.Array


class DiscriminatorCall(NamedTuple):
    """The discriminator's output for some images, and its variables after the call."""

    output: DiscriminatorOutput
    variables: Any


class Depth(enum.IntEnum):
    """How much of a round is computed. Each value includes the ones before it.

    A lazy regularizer computes no more than it needs. The compiler would drop the rest, but a trace of non-finite
    numbers (`flaxgan.train.programs.nan_trace`) looks at everything that a phase computes.
    """

    NOTHING = 0
    STYLES = 1
    FAKES = 2
    FAKE_LOGITS = 3
    REAL_LOGITS = 4


@dataclasses.dataclass(frozen=True)
class LossContext:
    """One round of a phase, as losses and regularizers see it.

    `config.d_passes` says in which order the discriminator judges generated and real images while it is trained. A
    second pass has the variables that the first one left, as in a training loop that calls it twice. While the
    generator is trained, the discriminator judges the generated images in a pass of their own, which is the first one.

    Attributes:
      setup: the run.
      network: the network that is trained, "g" or "d".
      params: its parameters. Those of the other network are the state's.
      state: the train state at the start of the round.
      reals: real images.
      inputs: random inputs of the round.
      depth: how much of the following has been computed; the rest is None.
      ws: styles [N, L, D] of a style-based generator.
      g_variables: the generator's variables, after mapping where there are styles.
      fakes: generated images, and the generator's variables after them.
      fake_call: the discriminator on the generated images.
      real_call: the discriminator on the real images.
      d_variables: the discriminator's variables that the state keeps: those after all passes of the discriminator's own
        training, and those after the generated images in the generator's.
    """

    setup: TrainingSetup
    network: str
    params: Any
    state: TrainState
    reals: Reals
    inputs: PhaseInputs
    depth: Depth
    ws: Any = None
    g_variables: Any = None
    fakes: Any = None
    fake_call: Any = None
    real_call: Any = None
    d_variables: Any = None

    @property
    def g_params(self) -> Any:
        """Parameters of the generator."""
        return self.params if self.network == "g" else self.state.g.params

    @property
    def d_params(self) -> Any:
        """Parameters of the discriminator."""
        return self.params if self.network == "d" else self.state.d.params

    @property
    def growth(self) -> Growth:
        """The keywords of growing networks."""
        return self.setup.stage.arguments(self.state.images_seen)

    def key(self, name: str) -> jax.Array:
        """Returns the key of a named random input of this round, [] key."""
        return jax.random.fold_in(self.inputs.latents.noise_key, zlib.crc32(name.encode()))

    def synthesize(self, ws: jax.Array) -> jax.Array:
        """Returns the images [N, H, W, C] of styles [N, L, D]."""
        noise_key = self.inputs.latents.noise_key
        return forward.synthesize(self.setup.gan, self.g_params, self.g_variables, ws, noise_key, self.growth)

    def judge_fakes(self, images: jax.Array, variables: Any) -> DiscriminatorCall:
        """Calls D on images with the generated images' labels, augmentation and noise."""
        return self._judge(self._as_fakes(images), self.inputs.latents.labels, variables)

    def judge_reals(self, images: jax.Array, variables: Any) -> DiscriminatorCall:
        """Calls D on images with the real images' labels, augmentation and noise."""
        return self._judge(self._as_reals(images), self.reals.labels, variables)

    def judge_together(
        self, fakes: jax.Array, reals: jax.Array, variables: Any
    ) -> tuple[DiscriminatorCall, DiscriminatorCall]:
        """Calls D once on generated and real images [N, H, W, C], each with their own labels, augmentation and noise.

        Generated and real images alternate in the batch of the call, so that each device keeps the images it has.
        """
        images = _alternate(self._as_fakes(fakes), self._as_reals(reals))
        labels = _alternate(self.inputs.latents.labels, self.reals.labels)
        images, labels = self.setup.constrain((images, labels))
        output, variables = self._judge(images, labels, variables)
        fake, real = (jax.tree.map(lambda x, first=first: x[first::2], output) for first in (0, 1))
        return DiscriminatorCall(fake, variables), DiscriminatorCall(real, variables)

    def first(self, num_images: int, depth: Depth) -> "LossContext":
        """Returns the context of the first images only."""
        cut = lambda tree: jax.tree.map(lambda x: x[:num_images] if x.ndim else x, tree)
        inputs, reals = self.setup.constrain((cut(self.inputs), cut(self.reals)))
        return create(self.setup, self.network, self.params, self.state, reals, inputs, depth=depth)

    def _as_fakes(self, images: jax.Array) -> jax.Array:
        return self._perturbed(images, self.inputs.fake_draws, self.inputs.fake_noise)

    def _as_reals(self, images: jax.Array) -> jax.Array:
        return self._perturbed(images, self.inputs.real_draws, self.inputs.real_noise)

    def _perturbed(self, images: jax.Array, draws: Any, noise: jax.Array | None) -> jax.Array:
        """Augments images and adds noise, as far as the run does so."""
        setup = self.setup
        if setup.augment_spec is not None:
            images = augment.augment(images, draws, self.state.ada.p, setup.augment_spec)
        if setup.input_noise is not None:
            images = setup.input_noise.add(images, self.state.input_score, noise)
        return images

    def _judge(self, images: jax.Array, labels: jax.Array, variables: Any) -> DiscriminatorCall:
        return DiscriminatorCall(
            *forward.discriminate(self.setup.gan, self.d_params, variables, images, labels, self.growth)
        )


def create(
    setup: TrainingSetup,
    network: str,
    params: Any,
    state: TrainState,
    reals: Reals,
    inputs: PhaseInputs,
    *,
    depth: Depth = Depth.REAL_LOGITS,
) -> LossContext:
    """Computes a round as far as it is asked for; see `LossContext` for the arguments."""
    gan, latents = setup.gan, inputs.latents
    context = LossContext(setup, network, params, state, reals, inputs, depth, g_variables=state.g.variables)
    if depth >= Depth.STYLES and gan.has_style:
        ws, variables = forward.map_latents(gan, context.g_params, state.g.variables, latents)
        context = dataclasses.replace(context, ws=ws, g_variables=variables)
    if depth >= Depth.FAKES:
        if gan.has_style:
            fakes = Generated(context.synthesize(context.ws), context.g_variables)
        else:
            fakes = forward.generate(gan, context.g_params, state.g.variables, latents, context.growth)
        context = dataclasses.replace(context, fakes=fakes)
    return _judged(context) if depth >= Depth.FAKE_LOGITS else context


def _judged(context: LossContext) -> LossContext:
    """Calls the discriminator on the images of a round."""
    fakes, reals, variables = context.fakes.images, context.reals.images, context.state.d.variables
    needs_reals, is_trained = context.depth >= Depth.REAL_LOGITS, context.network == "d"
    order = context.setup.config.d_passes if needs_reals and is_trained else "fakes_first"
    real_call = None
    if order == "concatenated":
        fake_call, real_call = context.judge_together(fakes, reals, variables)
    elif order == "reals_first":
        real_call = context.judge_reals(reals, variables)
        fake_call = context.judge_fakes(fakes, real_call.variables)
    else:
        fake_call = context.judge_fakes(fakes, variables)
        if needs_reals:
            real_call = context.judge_reals(reals, fake_call.variables)
    last_call = real_call if real_call and is_trained and order == "fakes_first" else fake_call
    return dataclasses.replace(context, fake_call=fake_call, real_call=real_call, d_variables=last_call.variables)


def mean_score(logits: jax.Array) -> jax.Array:
    """Returns the mean logit, without a gradient."""
    return jnp.mean(jax.lax.stop_gradient(logits))


def _alternate(fakes: jax.Array, reals: jax.Array) -> jax.Array:
    """Returns [2 N, ...] with the rows fakes[0], reals[0], fakes[1], reals[1], ... of two arrays [N, ...]."""
    return jnp.stack([fakes, reals], axis=1).reshape(2 * fakes.shape[0], *fakes.shape[1:])
