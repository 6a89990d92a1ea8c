"""StyleGAN2-ADA for any dataset, with settings derived from the resolution and the number of devices.

Paper:      Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data"; the "auto" configuration
            of the official code.
Command:    python train.py --config configs/stylegan2_auto.py --config.data.path=FOLDER --config.data.resolution=256
Data:       a folder of images of that size (or data.source=zip, a ZIP of them); sizes such as 64x96 work too.
Hardware:   any number of devices; the derived fields change with it.
Published:  none: a starting point, not a setting of the paper.
Reproduced: nothing to reproduce.

Precision: the four highest resolutions compute in bfloat16 on every platform, with outputs of layers clamped to 256;
the official code has float16 and the same clamp (`--config.network.dtype=float16` for GPUs). The float32 layers use the
device's default for products of float32: TF32 on recent GPUs, bfloat16 passes on TPUs, float32 on CPUs. The official
code turns TF32 off; `--config.matmul_precision=highest` does so here.
"""

import jax

from flaxgan.config import AugmentConfig, Config, DataConfig, EmaConfig, OptimizerConfig


def get_config(resolution: int | tuple[int, int] = 256) -> Config:
    """Batch, minibatch-stddev group, channels, learning rate, R1 gamma and EMA by rule; 25,000 kimg, ADA 'bgc'."""
    side = resolution if isinstance(resolution, int) else max(resolution)
    devices = jax.device_count()
    batch = max(min(devices * min(4096 // side, 32), 64), devices)
    adam = OptimizerConfig(learning_rate=0.002 if side >= 1024 else 0.0025)
    return Config(
        network={
            "name": "stylegan2",
            "channel_base": 32768 if side >= 512 else 16384,
            "mapping_layers": 2,
            "mbstd_group_size": min(batch // devices, 4),
            "conv_clamp": 256,
            "dtype": "bfloat16",
        },
        data=DataConfig(source="folder", path="datasets/images", resolution=resolution),
        batch_size=batch,
        total_kimg=25000,
        snapshot_kimg=200,
        g_regularizers={"path_length": {"interval": 4, "batch_shrink": 2 if batch > 1 else 1, "weight": 2.0}},
        d_regularizers={"r1": {"interval": 16, "gamma": 0.0002 * side**2 / batch}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=batch * 10 / 32, rampup=0.05),
        augment=AugmentConfig(policy="ada", preset="bgc", target=0.6),
        style_mixing_probability=0.9,
    )
