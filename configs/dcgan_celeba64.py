"""DCGAN on CelebA at 64x64.

Paper:      Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
            Networks", sections 3 and 4; the networks are those of PyTorch's DCGAN example.
Command:    python train.py --config configs/dcgan_celeba64.py --config.data.path=celeba64.zip
Data:       CelebA, 202,599 aligned faces, center-cropped and resized to 64x64, as a ZIP of images or
            (data.source=folder) a folder of them.
Hardware:   1 GPU or TPU core.
Published:  no score is quoted here: the paper reports none, and it used other faces.
Reproduced: not reproduced by this project.

Variants: `tiny`, small networks on 16x16 digits, minutes on 2 CPU cores.

Batch 128, Adam 0.0002 (0.5, 0.999), uniform latents and weights from N(0, 0.02) are the paper's; the 25 epochs are
those of PyTorch's example, which also shows D the real images first, and both networks the same generated images.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, LatentConfig, OptimizerConfig

HOW_TO_GET_CELEBA = """\
CelebA, 202,599 photographs of faces, is at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. Crop the aligned images
to a square in their middle and resize them to 64x64 with any tool; they can be used from a folder:
    --config.data.source=folder --config.data.path=.../images64x64
or, faster to read over a network, from one uncompressed ZIP file:
    (cd images64x64 && zip -q -0 -r ../celeba64.zip .)
    --config.data.path=.../celeba64.zip"""

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> Config:
    """Batch 128, the non-saturating loss, no moving average; or a variant of that."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    adam = OptimizerConfig(learning_rate=0.0002, b1=0.5, b2=0.999)
    config = Config(
        network={"name": "dcgan", "z_dim": 100, "g_channels": 64, "d_channels": 64, "norm_gain_stddev": 0.02},
        data=DataConfig(source="zip", path="datasets/celeba64.zip", resolution=64, hint=HOW_TO_GET_CELEBA),
        batch_size=128,
        total_kimg=5065,
        snapshot_kimg=200,
        loss="non_saturating",
        update_order="d_g",
        d_passes="reals_first",
        share_latents=True,
        g_optimizer=adam,
        d_optimizer=adam,
        latent=LatentConfig(prior="uniform"),
        ema=EmaConfig(half_life_kimg=0.0),
        accelerator="gpu_or_tpu",
    )
    return _tiny(config) if variant == "tiny" else config


def _tiny(config: Config) -> Config:
    """About 0.1 M parameters in the generator, 96 kimg of unlabelled digits.

    The networks have biases. Without biases each layer is positively homogeneous, so that a discriminator that is
    normalized by the statistics of a batch of fakes cannot see their contrast. Digits without biases stayed grey on
    grey.
    """
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.0005)
    return dataclasses.replace(
        config,
        network={"name": "dcgan", "z_dim": 64, "use_bias": True, "g_channels": 32, "d_channels": 32},
        data=DataConfig(source="digits", resolution=16, channels=1),
        batch_size=32,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=1.0, rampup=0.05),
        accelerator="any",
    )
