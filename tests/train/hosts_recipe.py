"""A run whose programs compile in seconds, for tests with several processes."""

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig


def get_config() -> Config:
    """DCGAN with batch statistics, 40 steps of 8 digits, a checkpoint every 10."""
    adam = OptimizerConfig(learning_rate=0.002, b1=0.5)
    return Config(
        network={"name": "dcgan", "z_dim": 4, "g_channels": 4, "d_channels": 4},
        data=DataConfig(source="digits", resolution=8, channels=1),
        batch_size=8,
        total_kimg=0.32,
        snapshot_kimg=0.08,
        tick_kimg=0.04,
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=0.1),
        keep_checkpoints=4,
    )
