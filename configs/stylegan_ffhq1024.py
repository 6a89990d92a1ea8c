"""StyleGAN on FFHQ at 1024x1024, grown from 8x8.

Paper:      Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks", table 1,
            configuration F, appendix C; the official code's configuration for 8 GPUs.
Command:    python train.py --config configs/stylegan_ffhq1024.py --config.data.path=ffhq1024.zip
Data:       FFHQ, 70,000 images at 1024x1024, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   8 GPUs with 16 GB or a TPU pod slice; the paper used a DGX-1 (8 V100) for a week.
Published:  FID 4.40 (Karras et al. 2019, table 1, configuration F: the lowest over the course of training; 50,000
            images against 50,000 training images, without truncation; 4.4159 in the README, of the released network).
Reproduced: not reproduced by this project.

Variant: `tiny`, small networks that grow from 4x4 to 16x16 digits, minutes on 2 CPU cores. In `tiny`, the minibatch
standard deviation compares images of one class and the noise inputs are off, as in configs/quickstart.py: with the
paper's settings the networks learned ten good digits and then repeated them. To sample with truncation, run
`flaxgan generate RUN --seeds 0-63 --psi 0.7 --cutoff 8 --out FILE.png`.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, GrowthConfig, OptimizerConfig

HOW_TO_GET_FFHQ = """\
FFHQ, 70,000 photographs at 1024x1024: https://github.com/NVlabs/ffhq-dataset says how to download it.
The folder images1024x1024 of it can be used as it is:
    --config.data.source=folder --config.data.path=.../images1024x1024
or, faster to read over a network, as one uncompressed ZIP file:
    (cd images1024x1024 && zip -q -0 -r ../ffhq1024.zip .)
    --config.data.path=.../ffhq1024.zip"""

VARIANTS = ("tiny",)


def get_config(variant: str = "") -> Config:
    """Non-saturating loss, R1 gamma 10 in every step, 600 + 600 kimg a stage, 25,000 kimg; or a variant of that."""
    if variant and variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS)}, or none")
    adam = OptimizerConfig(learning_rate=0.001, b1=0.0, b2=0.99, eps=1e-8, eps_hat=True)
    config = Config(
        network={"name": "stylegan"},
        data=DataConfig(source="zip", path="datasets/ffhq1024.zip", resolution=1024, mirror=True, hint=HOW_TO_GET_FFHQ),
        batch_size=32,
        total_kimg=25000,
        snapshot_kimg=200,
        loss="non_saturating",
        d_regularizers={"r1": {"gamma": 10.0}},
        update_order="d_g",
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=10.0, before_g=True),
        growth=GrowthConfig(
            start_px=8,
            fade_kimg=600,
            stabilize_kimg=600,
            full_size_penalties=True,
            batch_sizes=(256, 128, 64, 32, 32, 32, 32, 32),
            learning_rates=(0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003, 0.003),
        ),
        style_mixing_probability=0.9,
        accelerator="gpu_or_tpu",
    )
    return _tiny(config) if variant == "tiny" else config


def _tiny(config: Config) -> Config:
    """About 0.13 M parameters in each network, 96 kimg of digits with their classes."""
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.006)
    return dataclasses.replace(
        config,
        network={
            "name": "stylegan",
            "z_dim": 64,
            "w_dim": 64,
            "mapping_layers": 4,
            "channel_base": 512,
            "channel_max": 48,
            "use_noise": False,
            "mbstd_num_channels": 4,
            "mbstd_by_class": True,
        },
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        d_regularizers={"r1": {"gamma": 0.1}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=2.0, rampup=0.05, before_g=True),
        growth=GrowthConfig(start_px=4, fade_kimg=8, stabilize_kimg=8),
        accelerator="any",
        metrics=("class_quality",),
        metric_images=1797,
    )
