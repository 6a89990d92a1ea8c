"""Optimizers, with the correction for lazy regularization."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from flaxgan.config import Config, OptimizerConfig
from flaxgan.errors import FieldError
from flaxgan.train.step import schedules
from flaxgan.train.step.per_network import PerNetwork

Optimizers = PerNetwork[optax.GradientTransformation]
"""The optimizers of the two networks."""


def build_optimizers(config: Config, d_layers: Sequence[str], *, learning_rate: float | None = None) -> Optimizers:
    """Builds the optimizers of a run.

    Args:
      config: the run.
      d_layers: parameter paths of D's layers from image to logit, the order in which freeze-D freezes them.
      learning_rate: of both networks instead of the config's, or None.

    Raises:
      FieldError: if an optimizer is unknown, or more layers are to be frozen than there are.
    """
    if config.freeze_d_layers > len(d_layers):
        allowed = f"0 to {len(d_layers)}, the layers of this discriminator"
        raise FieldError("config.freeze_d_layers", config.freeze_d_layers, allowed)
    g, d = config.g_optimizer, config.d_optimizer
    for field, one in (("g_optimizer", g), ("d_optimizer", d)):
        _check(field, one, config.total_kimg)
    if learning_rate is not None:
        g, d = (dataclasses.replace(one, learning_rate=learning_rate) for one in (g, d))
    d_rule = _optimizer(d, lazy_ratio(config.d_regularizers))
    if config.freeze_d_layers:
        d_rule = freeze(d_rule, d_layers[: config.freeze_d_layers])
    return Optimizers(_optimizer(g, lazy_ratio(config.g_regularizers)), d_rule)


def freeze(optimizer: optax.GradientTransformation, layers: Sequence[str]) -> optax.GradientTransformation:
    """Returns an optimizer that leaves the parameters below some paths, such as "b32/conv0", as they are.

    References:
      Mo et al. 2020, "Freeze the Discriminator", section 3.
    """

    def labels(params: Any) -> Any:
        flat = traverse_util.flatten_dict(params, sep="/")
        frozen = lambda name: any(name.startswith(f"{layer}/") for layer in layers)
        return traverse_util.unflatten_dict({n: "frozen" if frozen(n) else "trained" for n in flat}, sep="/")

    return optax.multi_transform({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)


def scaler(config: OptimizerConfig, total_kimg: float) -> Callable[[optax.Updates, jax.Array], optax.Updates]:
    """Builds the function that scales updates to the present learning rate. Every update rule here is linear in it.

    Args:
      config: an optimizer, with its ramp-up and decay.
      total_kimg: length of the run.

    Returns:
      A function (updates at the full learning rate, images seen before this step, int32 []) -> updates.
    """
    if config.decay == "none" and not config.rampup_kimg:
        return lambda updates, images_seen: updates
    decay = schedules.decay(kind=config.decay, start_kimg=config.decay_start_kimg, total_kimg=total_kimg)

    def scale(updates: optax.Updates, images_seen: jax.Array) -> optax.Updates:
        kimg = images_seen / 1000
        factor = schedules.rampup_factor(kimg, rampup_kimg=config.rampup_kimg) * decay(kimg)
        return jax.tree.map(lambda update: update * factor, updates)

    return scale


def lazy_ratio(regularizers: dict[str, dict]) -> float:
    """Computes the share of optimizer steps of the main loss, c = k / (k + 1) for one regularizer every k steps.

    References:
      Karras et al. 2020b (StyleGAN2), appendix B, "Lazy regularization".
    """
    intervals = [settings["interval"] for settings in regularizers.values()]
    return 1.0 / (1.0 + sum(1.0 / interval for interval in intervals if interval is not None))


def lazy(config: OptimizerConfig, ratio: float) -> OptimizerConfig:
    """Returns settings that move the weights as far in 1/ratio steps as the given ones in one: lr * c, beta ** c."""
    return dataclasses.replace(
        config, learning_rate=config.learning_rate * ratio, b1=config.b1**ratio, b2=config.b2**ratio
    )


def adam(config: OptimizerConfig) -> optax.GradientTransformation:
    """Builds Adam: eps outside the root, beside the corrected second moment, or with eps_hat the uncorrected one.

    With eps_hat an update is -lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps). The state is the same in both forms.

    References:
      Kingma and Ba 2015, algorithm 1, and the end of section 2 for eps_hat.
    """
    corrected = optax.adam(config.learning_rate, b1=config.b1, b2=config.b2, eps=config.eps)
    if not config.eps_hat:
        return corrected

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Takes the state of the corrected form, and makes updates of its moments."""
        _, state = corrected.update(updates, state, params)
        adam_state = state[0]
        scale = jnp.sqrt(1 - config.b2**adam_state.count) / (1 - config.b1**adam_state.count)
        step = lambda m, v: -config.learning_rate * scale * m / (jnp.sqrt(v) + config.eps)
        return jax.tree.map(step, adam_state.mu, adam_state.nu), state

    return optax.GradientTransformation(corrected.init, update)


def rmsprop(config: OptimizerConfig) -> optax.GradientTransformation:
    """Builds RMSprop (Tieleman and Hinton 2012) from zero, eps outside the root as in Keras; b1 > 0 is its momentum."""
    momentum = config.b1 or None
    return optax.rmsprop(config.learning_rate, decay=config.b2, eps=config.eps, eps_in_sqrt=False, momentum=momentum)


def sgd(config: OptimizerConfig) -> optax.GradientTransformation:
    """Builds gradient descent; b1 > 0 is its momentum."""
    return optax.sgd(config.learning_rate, momentum=config.b1 or None)


KINDS = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}


def _optimizer(config: OptimizerConfig, ratio: float) -> optax.GradientTransformation:
    return KINDS[config.name](lazy(config, ratio))


def _check(field: str, config: OptimizerConfig, total_kimg: float) -> None:
    if config.name not in KINDS:
        raise FieldError(f"config.{field}.name", config.name, ", ".join(KINDS))
    if config.eps_hat and config.name != "adam":
        raise FieldError(f"config.{field}.eps_hat", config.eps_hat, f"False, because name is {config.name!r}")
    if config.decay != "none" and config.decay_start_kimg >= total_kimg:
        raise FieldError(
            f"config.{field}.decay_start_kimg", config.decay_start_kimg, f"below total_kimg {total_kimg:g}"
        )
