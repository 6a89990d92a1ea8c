"""The terms of the losses: the adversarial game, and regularizers supplied with what their arguments name.

Every function here builds a `Loss`: (params, state, reals, inputs) -> (loss, (state, scalars)). `params` are those of
the network that is trained, `state` supplies everything else and comes back with its statistics updated, `inputs` are
those of one round.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flaxgan import augment, lookup
from flaxgan.augment import controller
from flaxgan.losses import regularizers
from flaxgan.train import forward
from flaxgan.train.inputs import PhaseInputs
from flaxgan.train.setup import Setup, regularizer_settings, supplied_arguments
from flaxgan.train.state import TrainState


class Reals(NamedTuple):
    """Real images float [N, H, W, C] in [-1, 1] and their labels int32 [N]."""

    images: jax.Array
    labels: jax.Array


Loss = Callable[[Any, TrainState, Reals, PhaseInputs], tuple[jax.Array, tuple[TrainState, dict[str, jax.Array]]]]


def g_adversarial(setup: Setup) -> Loss:
    """The generator's side of the game."""

    def loss(params, state, reals, inputs):
        fakes = forward.generate(setup.gan, params, state.g.variables, inputs.latents)
        fake, d_variables = _judge_fakes(setup, state.d.params, state, fakes.images, inputs)
        # Losses that compare with reals need this; for the others it disappears in compilation.
        real, _ = _judge_reals(setup, state.d.params, state, reals, inputs)
        _, values = setup.loss(real.logits, fake.logits)
        state = _with_variables(state, g=fakes.variables, d=d_variables)
        return jnp.mean(values), (state, {"loss": jnp.mean(values)})

    return loss


def d_adversarial(setup: Setup) -> Loss:
    """The discriminator's side of the game. The generator's statistics move, its parameters do not."""

    def loss(params, state, reals, inputs):
        fakes = forward.generate(setup.gan, state.g.params, state.g.variables, inputs.latents)
        fake, d_variables = _judge_fakes(setup, params, state, fakes.images, inputs)
        state = _with_variables(state, g=fakes.variables, d=d_variables)
        real, d_variables = _judge_reals(setup, params, state, reals, inputs)
        values, _ = setup.loss(real.logits, fake.logits)
        state = _with_variables(state, d=d_variables).replace(ada=controller.accumulate(state.ada, real.logits))
        scalars = {
            "loss": jnp.mean(values),
            "real_logits": jnp.mean(real.logits),
            "fake_logits": jnp.mean(fake.logits),
        }
        return jnp.mean(values), (state, scalars)

    return loss


def g_regularizer(setup: Setup, name: str) -> Loss:
    """A regularizer of the generator on the first 1/batch_shrink of the round's images."""
    function, settings = _with_settings(name, setup.config.g_regularizers[name])
    shrink = setup.config.g_regularizers[name]["batch_shrink"]

    def loss(params, state, reals, inputs):
        gan, num_images = setup.gan, reals.images.shape[0] // shrink
        latents, image_noise = setup.constrain(_first(num_images, (inputs.latents, inputs.image_noise)))
        ws, variables = forward.map_latents(gan, params, state.g.variables, latents)
        supply = {
            "synthesize": lambda: lambda ws: forward.synthesize(gan, params, variables, ws, latents.noise_key),
            "ws": lambda: ws,
            "image_noise": lambda: image_noise,
            "pl_mean": lambda: state.pl_mean,
        }
        penalty, changes = function(**_take(supply, name), **settings)
        state = _with_variables(state, g=variables).replace(**changes)
        return jnp.mean(penalty), (state, {"loss": jnp.mean(penalty)})

    return loss


def d_regularizer(setup: Setup, name: str) -> Loss:
    """A regularizer of the discriminator. D's own statistics stay as the adversarial term left them."""
    function, settings = _with_settings(name, setup.config.d_regularizers[name])

    def loss(params, state, reals, inputs):
        def discriminate(images):
            return _judge_reals(setup, params, state, Reals(images, reals.labels), inputs)[0].logits

        supply = {"discriminate": lambda: discriminate, "real_images": lambda: reals.images}
        penalty, changes = function(**_take(supply, name), **settings)
        return jnp.mean(penalty), (state.replace(**changes), {"loss": jnp.mean(penalty)})

    return loss


def total(losses: list[Loss]) -> Loss:
    """The sum of losses that update the same network in one step; the first one's scalars keep their names."""

    def loss(params, state, reals, inputs):
        value, (state, scalars) = losses[0](params, state, reals, inputs)
        for extra in losses[1:]:
            more, (state, _) = extra(params, state, reals, inputs)
            value = value + more
        return value, (state, scalars)

    return loss if len(losses) > 1 else losses[0]


def _first(num_images: int, tree: Any) -> Any:
    """The first images of every [N, ...] array; keys are left whole."""
    return jax.tree.map(lambda x: x[:num_images] if x.ndim else x, tree)


def _judge_reals(setup: Setup, params: Any, state: TrainState, reals: Reals, inputs: PhaseInputs):
    images = _augment(setup, state, reals.images, inputs.real_draws)
    return forward.discriminate(setup.gan, params, state.d.variables, images, reals.labels)


def _judge_fakes(setup: Setup, params: Any, state: TrainState, images: jax.Array, inputs: PhaseInputs):
    images = _augment(setup, state, images, inputs.fake_draws)
    return forward.discriminate(setup.gan, params, state.d.variables, images, inputs.latents.labels)


def _augment(setup: Setup, state: TrainState, images: jax.Array, draws: Any) -> jax.Array:
    if setup.augment_spec is None:
        return images
    return augment.augment(images, draws, state.ada.p, setup.augment_spec)


def _with_variables(state: TrainState, *, g: Any = None, d: Any = None) -> TrainState:
    if g is not None:
        state = state.replace(g=state.g.replace(variables=g))
    if d is not None:
        state = state.replace(d=state.d.replace(variables=d))
    return state


def _with_settings(name: str, chosen: dict[str, Any]) -> tuple[Callable, dict[str, Any]]:
    function = lookup.function(regularizers, name)
    return function, {key: chosen[key] for key in regularizer_settings(name)}


def _take(supply: dict[str, Callable[[], Any]], name: str) -> dict[str, Any]:
    """What a regularizer asks for, which `flaxgan.train.setup` has checked to be there."""
    return {argument: supply[argument]() for argument in supplied_arguments(name)}
