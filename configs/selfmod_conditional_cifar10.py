"""Conditional SELF-MOD on the ResNet generator, with a projection discriminator, on CIFAR-10 at 32x32.

Paper:      Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", section 2: normalization depends
            on z' = z + E(c) + E'(c) * z. Its conditional models are trained on ImageNet; the settings here are those
            of `selfmod_sngan_cifar10` with the hinge loss, the usual one for projection.
Command:    python train.py --config configs/selfmod_conditional_cifar10.py --config.data.path=cifar10.zip
Data:       the 50,000 training images, as a ZIP with dataset.json or (data.source=folder) one folder per class.
Hardware:   1 GPU or TPU core.
Published:  no score is quoted here: the paper reports none for conditional CIFAR-10.
Reproduced: not reproduced by this project.

Variants: `plain`, the same with conditional batch normalization, the paper's baseline; `tiny` and `tiny_plain`, small
networks of both on 16x16 digits, minutes on 2 CPU cores.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, LatentConfig, OptimizerConfig

HOW_TO_GET_CIFAR10 = """\
CIFAR-10 is at https://www.cs.toronto.edu/~kriz/cifar.html. Write its 50,000 training images as PNG files into one
folder a class, airplane/ to truck/, and train with
    --config.data.source=folder --config.data.path=FOLDER
or put them into one ZIP file with a dataset.json at its top: {"labels": [["airplane/00000.png", 0], ...]}"""

VARIANTS = ("", "plain", "tiny", "tiny_plain")


def get_config(variant: str = "") -> Config:
    """Batch 64, 5 D steps for a G step, 40,000 G steps, the hinge loss; or a variant of that."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    adam = OptimizerConfig(learning_rate=0.0002, b1=0.5, b2=0.999, eps_hat=True)
    config = Config(
        network={
            "name": "selfmod",
            "base": "resnet",
            "g_channels": 256,
            "g_channels_max": 256,
            "d_channels": 128,
            "d_channels_max": 128,
            "d_levels": 2,
            "d_flat_blocks": 2,
            "norm_eps": 1e-5,
            "norm_momentum": 0.1,
        },
        data=DataConfig(
            source="zip", path="datasets/cifar10.zip", resolution=32, num_classes=10, hint=HOW_TO_GET_CIFAR10
        ),
        batch_size=64,
        d_steps=5,
        total_kimg=40 * 5 * 64,
        snapshot_kimg=400,
        loss="hinge",
        update_order="d_g",
        d_passes="concatenated",
        share_latents=True,
        g_optimizer=adam,
        d_optimizer=adam,
        latent=LatentConfig(prior="uniform"),
        ema=EmaConfig(half_life_kimg=0.0),
        accelerator="gpu_or_tpu",
    )
    config = _tiny(config) if variant.startswith("tiny") else config
    return _plain(config) if variant.endswith("plain") else config


def _tiny(config: Config) -> Config:
    """About 0.1 M parameters in each network, 96 kimg of digits with their classes, 2 D steps for a G step."""
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.001)
    widths = {"g_channels": 32, "g_channels_max": 32, "d_channels": 32, "d_channels_max": 32, "d_flat_blocks": 1}
    return dataclasses.replace(
        config,
        network={**config.network, "z_dim": 64, **widths},
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=16,
        g_batch_size=32,
        share_latents=False,
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


def _plain(config: Config) -> Config:
    """Sets the family `resnet` in the variant that `selfmod` is based on; it is conditional with classes."""
    network = {
        **config.network,
        "name": "resnet",
        "upsampling": "zeros",
        "shortcut_kernel": 3,
        "pooling": "mean",
        "d_wide": True,
        "d_activated_input": True,
        "initializer": "normal",
        "spectral_from_input": True,
        "norm_unbiased": False,
    }
    del network["base"]
    return dataclasses.replace(config, network=network)
