"""PGGAN on CelebA-HQ at 1024x1024, grown from 4x4.

Paper:      Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", section
            6.3, appendix A.1; batch sizes and learning rates of the official code's configuration for 8 GPUs.
Command:    python train.py --config configs/pggan_celebahq1024.py --config.data.path=celebahq1024.zip
Data:       CelebA-HQ, 30,000 images at 1024x1024, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   8 GPUs with 16 GB or a TPU pod slice; about 2 days on 8 V100 (the official README).
Published:  FID 7.79 (Karras et al. 2019, table 1, configuration A on CelebA-HQ: the lowest over the course of training;
            50,000 images against the training set).
Reproduced: not reproduced by this project.

Variants: `paper`, the settings of the paper's section 6.3 and appendix A.1 in the original Theano code: batch 16,
smaller at high resolutions, learning rate 0.001 after a ramp over the first 40 kimg, stages of 800 + 800 kimg; `tiny`,
small networks that grow from 4x4 to 16x16 digits, minutes on 2 CPU cores.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, GrowthConfig, OptimizerConfig

HOW_TO_GET_CELEBA_HQ = """\
CelebA-HQ, 30,000 photographs of faces: https://github.com/tkarras/progressive_growing_of_gans says how to make it.
Its images can be used from a folder:
    --config.data.source=folder --config.data.path=.../images1024x1024
or, faster to read over a network, from one uncompressed ZIP file:
    (cd images1024x1024 && zip -q -0 -r ../celebahq1024.zip .)
    --config.data.path=.../celebahq1024.zip"""

VARIANTS = ("paper", "tiny")


def get_config(variant: str = "") -> Config:
    """WGAN-GP with weight 10 and drift 0.001, Adam (0, 0.99), 600 + 600 kimg a stage; or a variant of that."""
    if variant and variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS)}, or none")
    adam = OptimizerConfig(learning_rate=0.001, b1=0.0, b2=0.99, eps=1e-8, eps_hat=True)
    config = Config(
        network={"name": "pggan"},
        data=DataConfig(
            source="zip", path="datasets/celebahq1024.zip", resolution=1024, mirror=True, hint=HOW_TO_GET_CELEBA_HQ
        ),
        batch_size=32,
        total_kimg=12000,
        snapshot_kimg=200,
        loss="wasserstein",
        d_regularizers={"gradient_penalty": {"weight": 10.0}, "drift": {"weight": 0.001}},
        update_order="d_g",
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(decay=0.999, before_g=True),
        growth=GrowthConfig(
            start_px=4,
            fade_kimg=600,
            stabilize_kimg=600,
            full_size_penalties=True,
            batch_sizes=(512, 256, 128, 64, 32, 32, 32, 32, 32),
            learning_rates=(0.001, 0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003, 0.003),
        ),
        accelerator="gpu_or_tpu",
    )
    return {"": _as_it_is, "paper": _paper, "tiny": _tiny}[variant](config)


def _as_it_is(config: Config) -> Config:
    return config


def _paper(config: Config) -> Config:
    """Computes the minibatch standard deviation over the whole batch, which has 3 images in the last stage."""
    growth = dataclasses.replace(
        config.growth,
        fade_kimg=800,
        stabilize_kimg=800,
        batch_sizes=(16, 16, 16, 16, 16, 16, 14, 6, 3),
        learning_rates=(),
    )
    network = {**config.network, "mbstd_averaging": "all", "pool_after_activation": True}
    adam = dataclasses.replace(config.d_optimizer, rampup_kimg=40)
    optimizers = {"g_optimizer": adam, "d_optimizer": adam}
    return dataclasses.replace(config, network=network, batch_size=16, total_kimg=19000, growth=growth, **optimizers)


def _tiny(config: Config) -> Config:
    """About 0.13 M parameters in each network, 96 kimg of digits with their classes."""
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.003)
    return dataclasses.replace(
        config,
        network={"name": "pggan", "z_dim": 64, "channel_base": 512, "channel_max": 48},
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=16,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=1.0, rampup=0.05, before_g=True),
        growth=GrowthConfig(start_px=4, fade_kimg=6, stabilize_kimg=6),
        accelerator="any",
        metrics=("class_quality",),
        metric_images=1797,
    )
