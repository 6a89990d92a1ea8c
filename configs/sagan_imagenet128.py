"""SAGAN, class-conditional, on ImageNet at 128x128.

Paper:      Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", section 4; what the paper leaves open
            is that of the authors' code.
Command:    python train.py --config configs/sagan_imagenet128.py --config.data.path=imagenet128.zip
Data:       the 1,281,167 training images of ILSVRC 2012, center-cropped and resized to 128x128, as a ZIP with
            dataset.json or (data.source=folder) one folder per class.
Hardware:   4 GPUs, as the authors', or a TPU host.
Published:  FID 18.65, Inception score 52.52 (Zhang et al. 2019, table 2).
Reproduced: not reproduced by this project.

Variants: `tiny`, small networks on 16x16 digits, minutes on 2 CPU cores.

The two networks have different learning rates (TTUR), and D takes one step for each of the 1,000,000 steps of G.
Attention at 32x32 in both networks follows the authors' code. Adam's second beta is the paper's, 0.9; the authors' code
leaves it at TensorFlow's default, 0.999.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig

HOW_TO_GET_IMAGENET = """\
ImageNet (ILSVRC 2012) is at https://www.image-net.org, for registered users. Crop its training images to a square in
their middle, resize them to 128x128, keep one folder a class, and train with
    --config.data.source=folder --config.data.path=FOLDER
or put them into one ZIP file with a dataset.json at its top: {"labels": [["n01440764/0.png", 0], ...]}"""

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> Config:
    """Hinge loss, batch 256, Adam 0.0001 for G and 0.0004 for D, no moving average; or a variant."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    adam = OptimizerConfig(learning_rate=0.0001, b1=0.0, b2=0.9, eps_hat=True)
    config = Config(
        network={
            "name": "sagan",
            "g_channels": 64,
            "d_channels": 64,
            "g_attention_px": (32,),
            "d_attention_px": (32,),
            "d_wide": True,
            "initializer": "glorot",
            "norm_momentum": 0.001,
            "norm_unbiased": False,
            "norm_gain_stddev": 0.0,
        },
        data=DataConfig(
            source="zip", path="datasets/imagenet128.zip", resolution=128, num_classes=1000, hint=HOW_TO_GET_IMAGENET
        ),
        batch_size=256,
        total_kimg=256000,
        snapshot_kimg=2560,
        loss="hinge",
        update_order="g_d",
        d_passes="concatenated",
        d_statistics_in_g=False,
        g_optimizer=adam,
        d_optimizer=dataclasses.replace(adam, learning_rate=0.0004),
        ema=EmaConfig(half_life_kimg=0.0),
        fake_labels="uniform",
        metric_labels="uniform",
        accelerator="gpu_or_tpu",
    )
    return _tiny(config) if variant == "tiny" else config


def _tiny(config: Config) -> Config:
    """Under 0.1 M parameters in each network, 96 kimg of digits with their classes; attention at 8x8."""
    return dataclasses.replace(
        config,
        network={"name": "sagan", "z_dim": 64, "g_channels": 8, "d_channels": 8},
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=32,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        g_optimizer=dataclasses.replace(config.g_optimizer, learning_rate=0.0005),
        d_optimizer=dataclasses.replace(config.d_optimizer, learning_rate=0.002),
        ema=EmaConfig(half_life_kimg=1.0, rampup=0.05),
        accelerator="any",
        metrics=("class_quality",),
        metric_images=1797,
    )
