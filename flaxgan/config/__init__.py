"""The configuration of a run: frozen dataclasses that are validated once, when they are built.

A recipe in configs/ returns a `Config`. Fields that name code (`network`, `loss`, the regularizers) hold the code's own
name and its keyword arguments; `flaxgan.train.step.training_setup` checks those against the code's signature.
"""

from flaxgan.config.parts import (
    AugmentConfig,
    DataConfig,
    EmaConfig,
    GrowthConfig,
    InputNoiseConfig,
    LatentConfig,
    OptimizerConfig,
)
from flaxgan.config.run import Config
from flaxgan.config.text import differences, from_json, to_json

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "EmaConfig",
    "GrowthConfig",
    "InputNoiseConfig",
    "LatentConfig",
    "OptimizerConfig",
    "differences",
    "from_json",
    "to_json",
]
