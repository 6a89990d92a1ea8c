"""SELF-MOD on the DCGAN generator (SNDCGAN), CelebA-HQ at 128x128.

Paper:      Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks"; the settings are those of
            compare_gan, the authors' code, in its example of SNDCGAN on these images.
Command:    python train.py --config configs/selfmod_dcgan_celeba.py --config.data.path=celebahq128.zip
Data:       CelebA-HQ, 30,000 images, resized to 128x128, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   1 GPU or TPU core.
Published:  no score is quoted here: the paper reports the best of many settings.
Reproduced: not reproduced by this project.

Variants: `plain`, the same with batch normalization, the baseline of the paper; `tiny` and `tiny_plain`,
small networks of both on 16x16 digits, minutes on 2 CPU cores.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, LatentConfig, OptimizerConfig

HOW_TO_GET_CELEBA_HQ = """\
CelebA-HQ, 30,000 photographs of faces: https://github.com/tkarras/progressive_growing_of_gans says how to make it.
Its images, resized to 128x128 by any tool, can be used from a folder:
    --config.data.source=folder --config.data.path=.../images128x128
or, faster to read over a network, from one uncompressed ZIP file:
    (cd images128x128 && zip -q -0 -r ../celebahq128.zip .)
    --config.data.path=.../celebahq128.zip"""

VARIANTS = ("", "plain", "tiny", "tiny_plain")


def get_config(variant: str = "") -> Config:
    """Batch 64, 100,000 steps, the non-saturating loss, Adam 0.0002 (0.5, 0.999); or a variant of that."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    adam = OptimizerConfig(learning_rate=0.0002, b1=0.5, b2=0.999, eps_hat=True)
    config = Config(
        network={"name": "selfmod", "base": "dcgan", "levels": 3, "norm_eps": 1e-5, "norm_momentum": 0.1},
        data=DataConfig(source="zip", path="datasets/celebahq128.zip", resolution=128, hint=HOW_TO_GET_CELEBA_HQ),
        batch_size=64,
        total_kimg=6400,
        snapshot_kimg=200,
        loss="non_saturating",
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
    """About 0.1 M parameters in each network, 96 kimg of unlabelled digits."""
    adam = dataclasses.replace(config.d_optimizer, learning_rate=0.0005)
    widths = {"g_channels": 16, "g_channels_max": 64, "d_channels": 16, "d_channels_max": 64}
    return dataclasses.replace(
        config,
        network={**config.network, "levels": 2, "z_dim": 64, **widths},
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


def _plain(config: Config) -> Config:
    """Sets the family `dcgan` in the variant that `selfmod` is based on."""
    network = {
        "z_dim": 128,
        "g_channels_max": 512,
        "d_channels_max": 512,
        **config.network,
        "name": "dcgan",
        "architecture": "sndcgan",
        "use_bias": True,
        "d_negative_slope": 0.1,
        "d_norm": "none",
        "d_spectral": True,
        "spectral_from_input": True,
        "norm_unbiased": False,
    }
    del network["base"]
    return dataclasses.replace(config, network=network)
