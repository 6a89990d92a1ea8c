"""The phases of a training step: the adversarial game of the two networks, and their lazy regularizers.

A phase updates one network once. `draw` makes its random inputs, `update` uses them; `program` joins the two and turns
uint8 images into floats. All is written for the whole global batch, as if there were one device.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from flaxgan import prng
from flaxgan.ops.image import to_float
from flaxgan.train import inputs as drawing
from flaxgan.train import terms
from flaxgan.train.inputs import PhaseInputs
from flaxgan.train.setup import Setup
from flaxgan.train.state import NetworkState, TrainState
from flaxgan.train.terms import Reals

Batch = dict[str, jax.Array]
"""images uint8 [N, H, W, C] and labels int32 [N]."""

Scalars = dict[str, jax.Array]
"""Named values for the log, one a round: [rounds]."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """One update of one network.

    Attributes:
      name: g_main, d_main, or g_ / d_ with a lazy regularizer's name.
      interval: it runs at steps that this divides.
      draw: key -> its random inputs.
      update: (state, reals, inputs) -> (state, scalars).
    """

    name: str
    interval: int
    draw: Callable[[jax.Array], PhaseInputs]
    update: Callable[[TrainState, Reals, PhaseInputs], tuple[TrainState, Scalars]]

    def program(self, seed: int) -> Callable[[TrainState, Batch], tuple[TrainState, Scalars]]:
        """The function that is compiled: a batch's images as floats, draws from the step's own key, the update."""

        def run(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
            reals = Reals(to_float(batch["images"]), batch["labels"])
            return self.update(state, reals, self.draw(prng.step_key(seed, state.step, self.name)))

        run.__name__ = self.name
        return run


def build(setup: Setup) -> tuple[Phase, ...]:
    """The phases of a run in their order: G, G's lazy regularizers, D, D's lazy regularizers."""
    config = setup.config
    g_losses = {name: terms.g_regularizer(setup, name) for name in config.g_regularizers}
    d_losses = {name: terms.d_regularizer(setup, name) for name in config.d_regularizers}
    return (
        *_network_phases(setup, "g", terms.g_adversarial(setup), g_losses),
        *_network_phases(setup, "d", terms.d_adversarial(setup), d_losses),
    )


def _network_phases(setup: Setup, network: str, adversarial: terms.Loss, losses: dict[str, terms.Loss]):
    """The main phase, with the regularizers of every step in it, and a phase of its own for each lazy regularizer."""
    settings = getattr(setup.config, f"{network}_regularizers")
    in_main = [loss for name, loss in losses.items() if settings[name]["interval"] is None]
    yield _phase(setup, network, "main", terms.total([adversarial, *in_main]), interval=1)
    for name, loss in losses.items():
        if settings[name]["interval"] is not None:
            yield _phase(setup, network, name, loss, interval=settings[name]["interval"])


def _phase(setup: Setup, network: str, name: str, loss: terms.Loss, *, interval: int) -> Phase:
    full_name = f"{network}_{name}"
    return Phase(full_name, interval, draw=_draw(setup, full_name), update=_update(setup, network, loss, interval))


def _draw(setup: Setup, phase_name: str) -> Callable[[jax.Array], PhaseInputs]:
    """The phase's draws. What its loss does not use disappears in compilation."""
    config, gan = setup.config, setup.gan
    shape = (config.accumulation_rounds, config.batch_size // config.accumulation_rounds)

    def draw(key: jax.Array) -> PhaseInputs:
        latent_key, noise_key, fake_key, real_key = jax.random.split(key, 4)
        mixing = config.style_mixing_probability
        return PhaseInputs(
            latents=drawing.draw_latents(latent_key, gan, shape, labels=setup.labels, mixing_probability=mixing),
            image_noise=jax.random.normal(noise_key, (*shape, *gan.image_shape)),
            fake_draws=drawing.draw_augmentation(fake_key, setup.augment_spec, shape, gan.image_shape),
            real_draws=drawing.draw_augmentation(real_key, setup.augment_spec, shape, gan.image_shape),
        )

    return draw


def _update(setup: Setup, network: str, loss: terms.Loss, interval: int):
    """One optimizer step on the loss times its interval, with the rounds' gradients summed as in the official code."""
    optimizer = getattr(setup.optimizers, network)

    def update(state: TrainState, reals: Reals, inputs: PhaseInputs) -> tuple[TrainState, Scalars]:
        trained: NetworkState = getattr(state, network)

        def add_round(carry, of_round):
            gradients, state = carry
            reals, inputs = setup.constrain(of_round)

            def scaled_loss(params):
                value, aux = loss(params, state, reals, inputs)
                return value * interval, aux

            new, (state, scalars) = jax.grad(scaled_loss, has_aux=True)(trained.params)
            return (jax.tree.map(jnp.add, gradients, new), state), scalars

        zeros = jax.tree.map(jnp.zeros_like, trained.params)
        of_rounds = (_rounds(reals, setup.config.accumulation_rounds), inputs)
        (gradients, state), scalars = _scan(add_round, (zeros, state), of_rounds)
        updates, opt_state = optimizer.update(gradients, trained.opt_state, trained.params)
        params = optax.apply_updates(trained.params, updates)
        trained = getattr(state, network).replace(params=params, opt_state=opt_state)
        return state.replace(**{network: trained}), scalars

    return update


def _rounds(arrays, rounds: int):
    """[N, ...] -> [rounds, N / rounds, ...]"""
    return jax.tree.map(lambda x: x.reshape(rounds, x.shape[0] // rounds, *x.shape[1:]), arrays)


def _scan(function, carry, of_rounds):
    """`jax.lax.scan`; a single round is called directly, which compiles faster and fuses better."""
    if jax.tree.leaves(of_rounds)[0].shape[0] > 1:
        return jax.lax.scan(function, carry, of_rounds)
    carry, scalars = function(carry, jax.tree.map(lambda x: x[0], of_rounds))
    return carry, jax.tree.map(lambda x: x[None], scalars)
