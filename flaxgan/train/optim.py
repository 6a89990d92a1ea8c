"""Optimizers, with the correction for lazy regularization."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import optax
from flax import traverse_util

from flaxgan.config import Config, OptimizerConfig


class Optimizers(NamedTuple):
    """The optimizers of the two networks."""

    g: optax.GradientTransformation
    d: optax.GradientTransformation


def build(config: Config, d_layers: Sequence[str]) -> Optimizers:
    """The optimizers of a run.

    Args:
      config: the run.
      d_layers: parameter paths of D's layers from image to logit, the order in which freeze-D freezes them.

    Raises:
      ValueError: if an optimizer is unknown, or more layers are to be frozen than there are.
    """
    if config.freeze_d_layers > len(d_layers):
        allowed = f"0 to {len(d_layers)}, the layers of this discriminator"
        raise ValueError(f"config.freeze_d_layers: found {config.freeze_d_layers}, allowed: {allowed}")
    d = _optimizer(config.d_optimizer, lazy_ratio(config.d_regularizers))
    if config.freeze_d_layers:
        d = freeze(d, d_layers[: config.freeze_d_layers])
    return Optimizers(_optimizer(config.g_optimizer, lazy_ratio(config.g_regularizers)), d)


def freeze(optimizer: optax.GradientTransformation, layers: Sequence[str]) -> optax.GradientTransformation:
    """An optimizer that leaves the parameters below some paths, such as "b32/conv0", as they are.

    Reference: Mo et al. 2020, "Freeze the Discriminator", section 3.
    """

    def labels(params):
        flat = traverse_util.flatten_dict(params, sep="/")
        frozen = lambda name: any(name.startswith(f"{layer}/") for layer in layers)
        return traverse_util.unflatten_dict({n: "frozen" if frozen(n) else "trained" for n in flat}, sep="/")

    return optax.multi_transform({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)


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


def _optimizer(config: OptimizerConfig, ratio: float) -> optax.GradientTransformation:
    kinds = {"adam": adam}
    if config.name not in kinds:
        raise ValueError(f"config.*_optimizer.name: found {config.name!r}, allowed: {', '.join(kinds)}")
    return kinds[config.name](lazy(config, ratio))
