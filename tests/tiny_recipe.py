"""Recipes of tiny runs for tests: a few channels, 8x8 pixels, 12 steps of 8 images with two snapshots."""

from flaxgan.config import AugmentConfig, Config, DataConfig, EmaConfig, OptimizerConfig

BATCH_SIZE = 8
STEPS = 12

NETWORK = {
    "name": "stylegan2",
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 1,
    "d_mapping_layers": 1,
    "channel_base": 64,
    "channel_max": 8,
    "mbstd_group_size": 4,
}

VARIANTS = {
    # Every phase, style mixing, two classes.
    "rgb": {
        "data": DataConfig(source="folder", num_classes=2),
        "g_regularizers": {"path_length": {"interval": 2, "batch_shrink": 2}},
        "d_regularizers": {"r1": {"interval": 4, "gamma": 0.1}},
        "style_mixing_probability": 0.9,
    },
    # One channel, ten classes, measures.
    "grey": {
        "data": DataConfig(source="digits", resolution=8, channels=1, num_classes=10),
        "metrics": ("class_quality",),
        "metric_images": 20,
    },
    # Four channels, not square, without labels, adaptive augmentation.
    "rgba": {
        "data": DataConfig(source="zip", resolution=(8, 12), channels=4, mirror=True),
        "augment": AugmentConfig(policy="ada", preset="cutout", interval=2, adjust_kimg=0.1),
    },
}


def get_config(variant: str = "rgb") -> Config:
    """One of the variants above."""
    adam = OptimizerConfig(learning_rate=0.01)
    kimg_per_step = BATCH_SIZE / 1000
    return Config(
        network=NETWORK,
        batch_size=BATCH_SIZE,
        total_kimg=STEPS * kimg_per_step,
        snapshot_kimg=6 * kimg_per_step,
        tick_kimg=2 * kimg_per_step,
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=0.05, rampup=0.5),
        **VARIANTS[variant],
    )
