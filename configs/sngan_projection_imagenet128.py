"""The projection cGAN: SNGAN with conditional batch normalization and a projection discriminator, ImageNet at 128x128.

Paper:      Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 6.1, appendix A; the settings are
            those of the authors' code, sn_projection.yml on 4 GPUs.
Command:    python train.py --config configs/sngan_projection_imagenet128.py --config.data.path=imagenet128.zip
Data:       the 1,281,167 training images of ILSVRC 2012, center-cropped and resized to 128x128, as a ZIP with
            dataset.json or (data.source=folder) one folder per class.
Hardware:   4 GPUs, as the authors', or a TPU host.
Published:  Inception score 29.7, intra-class FID 103.1 at 450,000 iterations, the length of this recipe
            (README_paper.md of the authors' code; the Inception score is that of 50,000 images). At 850,000 iterations
            they report 36.8 and 92.4; the FID of 27.62 that Zhang et al. 2019 (SAGAN) quote belongs to 36.8.
Reproduced: not reproduced by this project.

Variants: `tiny`, small networks on 16x16 digits, minutes on 2 CPU cores.
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
    """Hinge loss, 5 D steps of 64 for a G step of 128, 450,000 G steps, Adam decayed from 400,000 on; or a variant."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    kimg_of_1000_steps = 5 * 64
    adam = OptimizerConfig(
        learning_rate=0.0002,
        b1=0.0,
        b2=0.9,
        eps_hat=True,
        decay="linear",
        decay_start_kimg=400 * kimg_of_1000_steps,
    )
    config = Config(
        network={
            "name": "resnet",
            "g_channels": 64,
            "g_channels_max": 1024,
            "d_channels": 64,
            "d_channels_max": 1024,
            "norm_eps": 2e-5,
            "norm_gain_stddev": 0.0,
        },
        data=DataConfig(
            source="zip",
            path="datasets/imagenet128.zip",
            resolution=128,
            num_classes=1000,
            dequantize=True,
            hint=HOW_TO_GET_IMAGENET,
        ),
        batch_size=64,
        g_batch_size=128,
        d_steps=5,
        total_kimg=450 * kimg_of_1000_steps,
        snapshot_kimg=3200,
        loss="hinge",
        update_order="g_d",
        d_passes="reals_first",
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=0.0),
        fake_labels="uniform",
        metric_labels="uniform",
        accelerator="gpu_or_tpu",
    )
    return _tiny(config) if variant == "tiny" else config


def _tiny(config: Config) -> Config:
    """About 0.1 M parameters in each network, 96 kimg of digits with their classes, 2 D steps for a G step."""
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.001, decay_start_kimg=48.0)
    widths = {"g_channels": 32, "g_channels_max": 32, "d_channels": 32, "d_channels_max": 32}
    return dataclasses.replace(
        config,
        network={"name": "resnet", "z_dim": 64, **widths},
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=16,
        g_batch_size=32,
        d_steps=2,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=1.0, rampup=0.05),
        accelerator="any",
        metrics=("class_quality",),
        metric_images=1797,
    )
