"""BigGAN, class-conditional, on ImageNet at 128x128.

Paper:      Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", sections 3 and 4,
            appendices B and C.
Command:    python train.py --config configs/biggan_imagenet128.py --config.data.path=imagenet128.zip
Data:       the 1,281,167 training images of ILSVRC 2012, center-cropped and resized to 128x128, as a ZIP with
            dataset.json or (data.source=folder) one folder per class.
Hardware:   a TPU v3 pod slice of 128 cores, as the paper's, or as many GPUs; fewer with config.accumulation_rounds.
Published:  FID 8.7, Inception score 98.8 without truncation (Brock et al. 2019, table 2; 50,000 images).
Reproduced: not reproduced by this project.

Variants: `tiny`, small networks on 16x16 digits, minutes on 2 CPU cores.

D takes two steps for each of the 165,000 steps of G. Images are sampled from a moving average of G. The running
statistics of batch normalization do not match that average, so standing statistics over 100 batches replace them. For
the truncation trick see `flaxgan generate --truncation`; for BigGAN-deep, network.deep.

The epsilons of batch and spectral normalization, 1e-4, are those of the paper and of its released generators; the first
author's PyTorch code trains with 1e-5 and 1e-6. What the paper leaves open is that of the PyTorch code: Adam's epsilon
of 1e-6, one pass of D over fakes and reals, and the moving average, which begins at step 20,000 of G and is a copy of G
before. The PyTorch code averages the vectors of spectral normalization, too; here they are copied.
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
    """Hinge loss, batch 2048, Adam 0.00005 for G and 0.0002 for D, orthogonal regularization of G; or a variant."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    adam = OptimizerConfig(learning_rate=0.00005, b1=0.0, b2=0.999, eps=1e-6)
    config = Config(
        network={
            "name": "biggan",
            "z_dim": 120,
            "shared_dim": 128,
            "g_channels": 96,
            "d_channels": 96,
            "g_attention_px": (64,),
            "d_attention_px": (64,),
            "spectral_eps": 1e-4,
            "norm_eps": 1e-4,
        },
        data=DataConfig(
            source="zip",
            path="datasets/imagenet128.zip",
            resolution=128,
            num_classes=1000,
            hint=HOW_TO_GET_IMAGENET,
        ),
        batch_size=2048,
        d_steps=2,
        total_kimg=165 * 2 * 2048,
        snapshot_kimg=4096,
        loss="hinge",
        update_order="d_g",
        d_passes="concatenated",
        g_regularizers={"orthogonal": {"weight": 1e-4}},
        g_optimizer=adam,
        d_optimizer=dataclasses.replace(adam, learning_rate=0.0002),
        ema=EmaConfig(decay=0.9999, start_kimg=19_999 * 2 * 2048 / 1000),
        standing_batches=100,
        fake_labels="uniform",
        metric_labels="uniform",
        accelerator="gpu_or_tpu",
    )
    return _tiny(config) if variant == "tiny" else config


def _tiny(config: Config) -> Config:
    """Under 0.1 M parameters in each network, 96 kimg of digits with their classes; attention at 8x8."""
    return dataclasses.replace(
        config,
        network={
            "name": "biggan",
            "z_dim": 48,
            "shared_dim": 16,
            "g_channels": 8,
            "d_channels": 8,
            "g_attention_px": (8,),
            "d_attention_px": (8,),
        },
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=32,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        g_optimizer=dataclasses.replace(config.g_optimizer, learning_rate=0.0005),
        d_optimizer=dataclasses.replace(config.d_optimizer, learning_rate=0.002),
        ema=EmaConfig(half_life_kimg=1.0, rampup=0.05),
        standing_batches=4,
        accelerator="any",
        metrics=("class_quality",),
        metric_images=1797,
    )
