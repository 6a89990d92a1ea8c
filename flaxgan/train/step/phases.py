"""The phases of a training step: the adversarial game of the two networks, and their lazy regularizers.

A phase updates one network once. `draw` makes its random inputs, `update` uses them; `program` joins the two and turns
uint8 images into floats. All is written for the whole global batch, as if there were one device.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flaxgan import prng
from flaxgan.errors import FieldError
from flaxgan.train.step import ema, objectives, optimizers, random_inputs, real_images
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.objectives import Objective, Scalars
from flaxgan.train.step.per_network import NETWORKS, PerNetwork
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.real_images import Batch
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

Update = Callable[[TrainState, Reals, PhaseInputs], tuple[TrainState, Scalars]]
"""(state, reals, inputs) -> (state, scalars)."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """One update of one network, or of both from the same state.

    Attributes:
      name: g_main, d_main, g_ or d_ with a lazy regularizer's name, or joint.
      interval: it runs at steps that this divides.
      repeats: how often it runs in such a step, each time on a new batch.
      draw: key -> its random inputs.
      update: (state, reals, inputs) -> (state, scalars).
      from_batch: (batch, key) -> its real images as floats of full size.
      view: (real images of full size, images seen) -> the real images as the networks of this stage see them.
      source: the phase whose last repeat's random inputs it takes; None draws its own.
    """

    name: str
    interval: int
    repeats: int
    draw: Callable[[jax.Array], PhaseInputs]
    update: Update
    from_batch: Callable[[Batch, jax.Array], Reals]
    view: real_images.View
    source: "Phase | None" = None

    def program(self, seed: int) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Scalars]]:
        """Returns the function that is compiled: a batch's images as floats, draws from the step's own key, the update.

        Its last argument is which of the repeats this is, int32 [].
        """

        def run(state: TrainState, batch: Batch, repeat: jax.Array) -> tuple[TrainState, Scalars]:
            key = self.key(seed, state.step, repeat)
            return self.update(state, self.reals(batch, state.images_seen, key), self.draw(key))

        run.__name__ = self.name
        return run

    def key(self, seed: int, step: jax.Array | int, repeat: jax.Array | int) -> jax.Array:
        """Returns the key that the phase draws from, at a step and in one of its repeats."""
        if self.source is not None:
            return self.source.key(seed, step, self.source.repeats - 1)
        key = prng.step_key(seed, step, self.name)
        return jax.random.fold_in(key, repeat) if self.repeats > 1 else key

    def reals(self, batch: Batch, images_seen: jax.Array, key: jax.Array) -> Reals:
        """Returns the real images of a batch as the networks of this stage see them; `key` is that of the phase."""
        return self.view(self.from_batch(batch, key), images_seen)


def build(setup: TrainingSetup) -> tuple[Phase, ...]:
    """Builds the phases of a step in their order: each network's main phase, followed by its lazy regularizers."""
    if setup.config.update_order == "joint":
        return (_joint(setup), *_lazy_phases(setup, "g"), *_lazy_phases(setup, "d"))
    order = setup.config.update_order.split("_")
    return tuple(phase for network in order for phase in (_main_phase(setup, network), *_lazy_phases(setup, network)))


def by_name(setup: TrainingSetup, name: str) -> Phase:
    """Builds one of the phases of a step.

    Raises:
      FieldError: if there is none of that name.
    """
    found = {phase.name: phase for phase in build(setup)}
    if name not in found:
        raise FieldError("phase", name, ", ".join(found))
    return found[name]


def _main_phase(setup: TrainingSetup, network: str) -> Phase:
    """Builds the game, with the regularizers of every step in it."""
    update = _update(setup, network, _main_loss(setup, network), interval=1)
    if network == "d":
        return _phase(setup, "d", "d_main", update, repeats=setup.config.d_steps)
    phase = _phase(setup, "g", "g_main", _averaging_first(setup, update))
    return dataclasses.replace(phase, source=_main_phase(setup, "d")) if setup.config.share_latents else phase


def _averaging_first(setup: TrainingSetup, update: Update) -> Update:
    """Returns an update of the generator that updates its average before it, if the config says so."""
    config, num_images = setup.config.ema, setup.stage.images_per_step
    if not config.before_g:
        return update
    return lambda state, reals, inputs: update(ema.step(config, state, num_images), reals, inputs)


def _joint(setup: TrainingSetup) -> Phase:
    """Builds both networks' main updates from the same state and draws, as one gradient step on both."""
    g, d = (_update(setup, network, _main_loss(setup, network), interval=1) for network in NETWORKS)

    def update(state: TrainState, reals: Reals, inputs: PhaseInputs) -> tuple[TrainState, Scalars]:
        after_g, g_scalars = g(state, reals, inputs)
        after_d, d_scalars = d(state, reals, inputs)
        named = {
            f"{n}/{key}": value for n, found in (("g", g_scalars), ("d", d_scalars)) for key, value in found.items()
        }
        regularizers = {"g": after_g.regularizers["g"], "d": after_d.regularizers["d"]}
        return after_d.replace(g=after_g.g, regularizers=regularizers), named

    return _phase(setup, "d", "joint", _averaging_first(setup, update))


def _main_loss(setup: TrainingSetup, network: str) -> Objective:
    joining = [one for one in setup.regularizers.of(network) if one.interval is None]
    return objectives.main(setup, network, joining)


def _lazy_phases(setup: TrainingSetup, network: str) -> Iterator[Phase]:
    """Yields a phase of its own for each regularizer with an interval."""
    for one in setup.regularizers.of(network):
        if one.interval is not None:
            update = _update(setup, network, objectives.regularizer(setup, network, one), one.interval)
            yield _phase(setup, network, f"{network}_{one.name}", update, interval=one.interval)


def _phase(
    setup: TrainingSetup, network: str, name: str, update: Callable, *, interval: int = 1, repeats: int = 1
) -> Phase:
    num_images = setup.batch_size(network)
    return Phase(
        name,
        interval,
        repeats,
        draw=_draw(setup, num_images, setup.rounds(network)),
        update=update,
        from_batch=real_images.from_batch(setup),
        view=real_images.view(setup, num_images),
    )


def _draw(setup: TrainingSetup, num_images: int, rounds: int) -> Callable[[jax.Array], PhaseInputs]:
    """Builds the function that draws a phase's random inputs. The compiler drops those that its loss does not use."""
    config, gan, stage = setup.config, setup.gan, setup.stage
    shape = (rounds, num_images // rounds)
    image_shape = (*shape, *stage.image_shape)
    noisy = bool(config.input_noise.weight)

    def draw(key: jax.Array) -> PhaseInputs:
        latent_key, noise_key, fake_key, real_key, *more = jax.random.split(key, 8)
        mixing = config.style_mixing_probability
        return PhaseInputs(
            latents=random_inputs.draw_latents(
                latent_key,
                gan,
                shape,
                labels=setup.labels,
                mixing_probability=mixing,
                prior=setup.prior,
                stage=stage.network_stage,
            ),
            image_noise=jax.random.normal(noise_key, image_shape),
            uniform_noise=jax.random.uniform(more[0], image_shape),
            interpolation=jax.random.uniform(more[1], shape),
            fake_draws=random_inputs.draw_augmentation(fake_key, setup.augment_spec, shape, stage.image_shape),
            real_draws=random_inputs.draw_augmentation(real_key, setup.augment_spec, shape, stage.image_shape),
            fake_noise=jax.random.normal(more[2], image_shape) if noisy else None,
            real_noise=jax.random.normal(more[3], image_shape) if noisy else None,
        )

    return draw


def _update(setup: TrainingSetup, network: str, loss: Objective, interval: int) -> Update:
    """Builds an optimizer step on the loss times its interval, with the mean gradient of the rounds."""
    config, rounds = setup.config, setup.rounds(network)
    optimizer = setup.optimizers.of(network)
    at_learning_rate = optimizers.scaler(
        PerNetwork(config.g_optimizer, config.d_optimizer).of(network), config.total_kimg
    )

    def update(state: TrainState, reals: Reals, inputs: PhaseInputs) -> tuple[TrainState, Scalars]:
        trained = state.network(network)

        def add_round(carry: tuple[Any, TrainState], of_round: Any) -> tuple[tuple[Any, TrainState], Scalars]:
            gradients, state = carry
            reals, inputs = setup.constrain(of_round)

            def scaled_loss(params: Any) -> tuple[jax.Array, tuple[TrainState, Scalars]]:
                value, aux = loss(params, state, reals, inputs)
                return value * interval, aux

            new, (state, scalars) = jax.grad(scaled_loss, has_aux=True)(trained.params)
            return (jax.tree.map(jnp.add, gradients, new), state), scalars

        zeros = jax.tree.map(jnp.zeros_like, trained.params)
        (gradients, state), scalars = _scan(add_round, (zeros, state), (_rounds(reals, rounds), inputs))
        if rounds > 1:
            gradients = jax.tree.map(lambda total: total / rounds, gradients)
        scalars = {**scalars, "gradient_norm": optax.tree.norm(gradients)[None]}
        updates, opt_state = optimizer.update(gradients, trained.opt_state, trained.params)
        updates = at_learning_rate(updates, state.images_seen)
        params = optax.apply_updates(trained.params, updates)
        trained = state.network(network).replace(params=params, opt_state=opt_state)
        return state.with_network(network, trained), scalars

    return update


def _rounds(arrays: Any, rounds: int) -> Any:
    """Reshapes [N, ...] to [rounds, N / rounds, ...]."""
    return jax.tree.map(lambda x: x.reshape(rounds, x.shape[0] // rounds, *x.shape[1:]), arrays)


def _scan(function: Callable, carry: Any, of_rounds: Any) -> tuple[Any, Scalars]:
    """Scans over rounds. A single round is called directly, which compiles faster and fuses better."""
    if jax.tree.leaves(of_rounds)[0].shape[0] > 1:
        return jax.lax.scan(function, carry, of_rounds)
    carry, scalars = function(carry, jax.tree.map(lambda x: x[0], of_rounds))
    return carry, jax.tree.map(lambda x: x[None], scalars)
