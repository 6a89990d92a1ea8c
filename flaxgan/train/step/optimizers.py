"""Optimizers, with the correction for lazy regularization."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import optax
from flax import traverse_util

from flaxgan.config import Config, OptimizerConfig
from flaxgan.train.step.schedules import decay_factor, rampup_factor


class Optimizers(NamedTuple):
    """The optimizers of the two networks."""

    g: optax.GradientTransformation
    d: optax.GradientTransformation


def build(config: Config, d_layers: Sequence[str], *, learning_rate: float | None = None) -> Optimizers:
    """The optimizers of a run.

    Args:
      config: the run.
      d_layers: parameter paths of D's layers from image to logit, the order in which freeze-D freezes them.
      learning_rate: of both networks instead of the config's, or None.

    Raises:
      ValueError: if an optimizer is unknown, or more layers are to be frozen than there are.
    """
    if config.freeze_d_layers > len(d_layers):
        allowed = f"0 to {len(d_layers)}, the layers of this discriminator"
        raise ValueError(f"config.freeze_d_layers: found {config.freeze_d_layers}, allowed: {allowed}")
    for field in ("g_optimizer", "d_optimizer"):
        _check(field, getattr(config, field), config.total_kimg)
    g, d = config.g_optimizer, config.d_optimizer
    if learning_rate is not None:
        g, d = (dataclasses.replace(one, learning_rate=learning_rate) for one in (g, d))
    d_rule = _optimizer(d, lazy_ratio(config.d_regularizers))
    if config.freeze_d_layers:
        d_rule = freeze(d_rule, d_layers[: config.freeze_d_layers])
    return Optimizers(_optimizer(g, lazy_ratio(config.g_regularizers)), d_rule)


def freeze(optimizer: optax.GradientTransformation, layers: Sequence[str]) -> optax.GradientTransformation:
    """An optimizer that leaves the parameters below some paths, such as "b32/conv0", as they are.

    Reference: Mo et al. 2020, "Freeze the Discriminator", section 3.
    """

    def labels(params):
        flat = traverse_util.flatten_dict(params, sep="/")
        frozen = lambda name: any(name.startswith(f"{layer}/") for layer in layers)
        return traverse_util.unflatten_dict({n: "frozen" if frozen(n) else "trained" for n in flat}, sep="/")

    return optax.multi_transform({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)


def scale(config: OptimizerConfig, updates: optax.Updates, images_seen: jax.Array, total_kimg: float) -> optax.Updates:
    """An optimizer's updates at the learning rate of the moment: every update rule here is linear in it.

    Args:
      config: its ramp-up and decay.
      updates: at the full learning rate.
      images_seen: images before this step.
      total_kimg: length of the run.
    """
    if config.decay == "none" and not config.rampup_kimg:
        return updates
    kimg = images_seen / 1000
    factor = rampup_factor(kimg, rampup_kimg=config.rampup_kimg) * decay_factor(
        kimg, kind=config.decay, start_kimg=config.decay_start_kimg, total_kimg=total_kimg
    )
    return jax.tree.map(lambda update: update * factor, updates)


def lazy_ratio(regularizers: dict[str, dict]) -> float:
    """Share of a network's optimizer steps that its main loss takes, c = k / (k + 1) for one regularizer every k steps.

    Reference: Karras et al. 2020b (StyleGAN2), appendix B, "Lazy regularization".
    """
    intervals = [settings["interval"] for settings in regularizers.values()]
    return 1.0 / (1.0 + sum(1.0 / interval for interval in intervals if interval is not None))


def lazy(config: OptimizerConfig, ratio: float) -> OptimizerConfig:
    """The settings that move the weights as far in 1/ratio steps as the given ones in one: lr * c, beta ** c."""
    return dataclasses.replace(
        config, learning_rate=config.learning_rate * ratio, b1=config.b1**ratio, b2=config.b2**ratio
    )


def adam(config: OptimizerConfig) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015, algorithm 1): eps outside the root, both biases corrected."""
    return optax.adam(config.learning_rate, b1=config.b1, b2=config.b2, eps=config.eps)


def rmsprop(config: OptimizerConfig) -> optax.GradientTransformation:
    """RMSprop (Tieleman and Hinton 2012) from zero, eps outside the root as in Keras; b1 > 0 is its momentum."""
    momentum = config.b1 or None
    return optax.rmsprop(config.learning_rate, decay=config.b2, eps=config.eps, eps_in_sqrt=False, momentum=momentum)


def sgd(config: OptimizerConfig) -> optax.GradientTransformation:
    """Gradient descent; b1 > 0 is its momentum."""
    return optax.sgd(config.learning_rate, momentum=config.b1 or None)


KINDS = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}


def _optimizer(config: OptimizerConfig, ratio: float) -> optax.GradientTransformation:
    return KINDS[config.name](lazy(config, ratio))


def _check(field: str, config: OptimizerConfig, total_kimg: float) -> None:
    if config.name not in KINDS:
        raise ValueError(f"config.{field}.name: found {config.name!r}, allowed: {', '.join(KINDS)}")
    if config.decay != "none" and config.decay_start_kimg >= total_kimg:
        allowed = f"below total_kimg {total_kimg:g}"
        raise ValueError(f"config.{field}.decay_start_kimg: found {config.decay_start_kimg:g}, allowed: {allowed}")
