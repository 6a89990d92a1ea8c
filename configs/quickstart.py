"""Quick start: class-conditional StyleGAN2 on the 1,797 handwritten digits inside scikit-learn, at 16x16.

Paper:      Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (the networks and losses).
Command:    python train.py --config configs/quickstart.py     (or `make quickstart`)
"""

from flaxgan.config import AugmentConfig, Config, DataConfig, EmaConfig, OptimizerConfig


def get_config() -> Config:
    """About 0.25 M parameters in each network, 64 kimg."""
    adam = OptimizerConfig(learning_rate=0.0025)
    return Config(
        network={
            "name": "stylegan2",
            "z_dim": 64,
            "w_dim": 64,
            "mapping_layers": 2,
            "channel_base": 512,
            "channel_max": 48,
            "d_mapping_layers": 2,
            "mbstd_group_size": 8,
        },
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=32,
        total_kimg=64,
        snapshot_kimg=16,
        tick_kimg=2,
        g_regularizers={"path_length": {"interval": 4, "batch_shrink": 2, "weight": 2.0}},
        d_regularizers={"r1": {"interval": 16, "gamma": 0.1}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=2.0, rampup=0.05),
        augment=AugmentConfig(policy="off"),
        style_mixing_probability=0.0,
        metrics=("class_quality",),
        metric_images=1797,
    )
