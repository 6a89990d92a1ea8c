"""SNGAN, the ResNet GAN with spectral normalization, on CIFAR-10 at 32x32, unconditional.

Paper:      Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", section 4.1, appendix B.4;
            the settings are those of the authors' code, sn_cifar10_unconditional.yml.
Command:    python train.py --config configs/sngan_cifar10.py --config.data.path=cifar10.zip
Data:       the 50,000 training images, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   1 GPU or TPU core.
Published:  FID 21.7, Inception score 8.22 (Miyato et al. 2018, table 2, the ResNet with the hinge loss; 5,000
            generated images against 10,000).
Reproduced: not reproduced by this project.

Variants: `tiny`, small networks on 16x16 digits, minutes on 2 CPU cores.

As in the authors' code, real images have noise as wide as a level (data.dequantize). D's last layer has a bias, as in
mimicry, whose networks this family is tested against; the authors' code for 32x32 has none, which is
`--config.network.d_head_bias=False`.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig

HOW_TO_GET_CIFAR10 = """\
CIFAR-10 is at https://www.cs.toronto.edu/~kriz/cifar.html. Write its 50,000 training images as PNG files into one
folder, and train with
    --config.data.source=folder --config.data.path=FOLDER
or put them into one uncompressed ZIP file:
    --config.data.path=.../cifar10.zip"""

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> Config:
    """Hinge loss, 5 D steps of 64 images for a G step of 128, 50,000 G steps, Adam decayed to 0; or a variant."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    adam = OptimizerConfig(learning_rate=0.0002, b1=0.0, b2=0.9, eps_hat=True, decay="linear")
    config = Config(
        network={
            "name": "resnet",
            "g_channels": 256,
            "g_channels_max": 256,
            "d_channels": 128,
            "d_channels_max": 128,
            "d_levels": 2,
            "d_flat_blocks": 2,
            "norm_eps": 2e-5,
        },
        data=DataConfig(
            source="zip", path="datasets/cifar10.zip", resolution=32, dequantize=True, hint=HOW_TO_GET_CIFAR10
        ),
        batch_size=64,
        g_batch_size=128,
        d_steps=5,
        total_kimg=50 * 5 * 64,
        snapshot_kimg=400,
        loss="hinge",
        update_order="g_d",
        d_passes="reals_first",
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=0.0),
        accelerator="gpu_or_tpu",
    )
    return _tiny(config) if variant == "tiny" else config


def _tiny(config: Config) -> Config:
    """About 0.1 M parameters in each network, 96 kimg of unlabelled digits, 2 D steps for a G step."""
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.001)
    widths = {"g_channels": 32, "g_channels_max": 32, "d_channels": 32, "d_channels_max": 32}
    return dataclasses.replace(
        config,
        network={"name": "resnet", "z_dim": 64, **widths},
        data=DataConfig(source="digits", resolution=16, channels=1),
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
    )
