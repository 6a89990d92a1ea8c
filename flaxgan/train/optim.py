"""Optimizers, with the correction for lazy regularization."""

import dataclasses
from typing import NamedTuple

import optax

from flaxgan.config import Config, OptimizerConfig


class Optimizers(NamedTuple):
    """The optimizers of the two networks."""

    g: optax.GradientTransformation
    d: optax.GradientTransformation


def build(config: Config) -> Optimizers:
    """The optimizers of a run.

    Raises:
      ValueError: if an optimizer is unknown; the message lists those there are.
    """
    return Optimizers(
        _optimizer(config.g_optimizer, lazy_ratio(config.g_regularizers)),
        _optimizer(config.d_optimizer, lazy_ratio(config.d_regularizers)),
    )


def lazy_ratio(regularizers: dict[str, dict]) -> float:
    """Share of a network's optimizer steps that its main loss takes, c = k / (k + 1) for one regularizer every k steps.

    Reference: Karras et al. 2020b (StyleGAN2), appendix B, "Lazy regularization".
    """
    intervals = [settings["interval"] for settings in regularizers.values()]
    return 1.0 / (1.0 + sum(1.0 / interval for interval in intervals if interval > 1))


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
